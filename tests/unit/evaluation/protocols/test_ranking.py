import numpy as np
import pytest

from evaluation.protocols.ranking import ItemRanking
from models.vocabulary import Vocabulary
from tests.unit.evaluation.builder import a_stream

ITEMS = [f"i{n}" for n in range(30)]
STREAM = a_stream(*[("a", item, None, n) for n, item in enumerate(ITEMS)])
NOTHING = np.empty(0, np.int32)


def a_ranking(heard_names: list[str], seed: int = 0) -> ItemRanking:
    names = Vocabulary()
    for item in heard_names:
        names.add(item)
    return ItemRanking(STREAM, names, seed=seed)


def numbers(*items: int) -> np.ndarray:
    return np.array(items, np.int32)


def test_a_models_own_numbers_are_turned_into_the_streams() -> None:
    ranking = a_ranking(["i7", "i3", "i5"]).rank(np.array([1.0, 3.0, 2.0]), NOTHING, numbers(7, 3, 5))
    assert ranking.ranks.tolist() == [3, 1, 2]
    assert ranking.top.tolist() == [3, 5, 7, *[-1] * 7]


def test_touched_items_are_neither_shown_nor_counted() -> None:
    ranking = a_ranking(["i7", "i3", "i5"]).rank(np.array([1.0, 3.0, 2.0]), numbers(3, 29), numbers(7))
    assert ranking.ranks.tolist() == [2]
    assert ranking.top.tolist()[:3] == [5, 7, -1]


def test_scores_that_are_not_finite_come_last() -> None:
    ranking = a_ranking(["i0", "i1", "i2"]).rank(np.array([np.nan, -5.0, np.inf]), NOTHING, numbers(1))
    assert ranking.ranks.tolist() == [1]


def test_items_that_nobody_in_the_stream_touches_may_be_scored() -> None:
    ranking = a_ranking(["elsewhere", "i0"]).rank(np.array([2.0, 1.0]), NOTHING, numbers(0))
    assert ranking.ranks.tolist() == [2]


def test_items_that_arrive_later_are_included() -> None:
    names = Vocabulary()
    names.add("i0")
    ranking = ItemRanking(STREAM, names, seed=0)
    assert ranking.rank(np.array([1.0]), NOTHING, numbers(4)).ranks.tolist() == [11]
    names.add("i4")
    assert ranking.rank(np.array([1.0, 2.0]), NOTHING, numbers(4)).ranks.tolist() == [1]


def test_ties_are_broken_at_random_and_the_list_agrees_with_the_ranks() -> None:
    results = []
    for seed in range(400):
        ranking = a_ranking(ITEMS, seed).rank(np.zeros(30), NOTHING, numbers(4))
        results.append(int(ranking.ranks[0]))
        assert (4 in ranking.top) == (results[-1] <= 10)
        assert 4 not in ranking.top or ranking.top.tolist().index(4) == results[-1] - 1
    assert np.mean(results) == pytest.approx(15.5, abs=1.5)
    assert set(results) == set(range(1, 31))


def test_the_seed_reproduces() -> None:
    one, other = (a_ranking(ITEMS, 3).rank(np.zeros(30), NOTHING, numbers(4)) for _ in range(2))
    assert one.top.tolist() == other.top.tolist()


def test_ranks_are_those_of_a_full_sort() -> None:
    draw = np.random.default_rng(0)
    for _ in range(50):
        scores = draw.random(30)
        values = draw.choice(30, 8, replace=False).astype(np.int32)
        order = [item for item in np.argsort(-scores).tolist() if item not in values]
        targets = np.array(order, np.int32)
        ranking = a_ranking(ITEMS).rank(scores, values, targets)
        assert ranking.ranks.tolist() == list(range(1, len(order) + 1))
        assert ranking.top.tolist() == order[:10]
