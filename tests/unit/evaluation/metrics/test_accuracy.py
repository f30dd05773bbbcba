import math

import numpy as np
import pytest

from evaluation.metrics import breakdown
from evaluation.metrics.accuracy import accuracy, over_seeds
from evaluation.metrics.beyond_accuracy import BeyondAccuracy
from evaluation.metrics.bootstrap import Bootstrap, difference, interval
from evaluation.protocols.replay import EVERYTHING, ReplayOutcome
from tests.build import an_item
from tests.unit.evaluation.builder import a_stream


def an_outcome(ranks: list[int], cases: list[int] | None = None, **overrides: object) -> ReplayOutcome:
    count = len(ranks)
    fields = {
        "event_index": np.arange(count, dtype=np.int32),
        "rank": np.array(ranks, np.int32),
        "case": np.array(cases if cases is not None else range(count), np.int32),
        "list_index": np.zeros(count, np.int32),
        "earlier": np.zeros(count, np.int32),
        "known_count": np.full(count, EVERYTHING, np.int32),
        "gap_ms": np.zeros(count, np.int64),
        "top": np.full((1, 10), -1, np.int32),
        "learn_us": 0.0,
        "rank_us": 0.0,
    }
    return ReplayOutcome(**(fields | overrides))  # type: ignore[arg-type]


def test_metrics_of_single_targets() -> None:
    accuracies = accuracy(an_outcome([1, 3, 10, 11]))
    assert accuracies.hr.tolist() == [1, 1, 1, 0]
    assert accuracies.ndcg.tolist() == pytest.approx([1.0, 0.5, 1 / math.log2(11), 0.0])
    assert accuracies.mrr.tolist() == pytest.approx([1, 1 / 3, 1 / 10, 1 / 11]), "over the whole ranking"
    assert accuracies.precision.tolist() == pytest.approx([0.1, 0.1, 0.1, 0.0])
    assert accuracies.recall.tolist() == [1, 1, 1, 0]


def test_metrics_of_a_case_with_many_relevant_items() -> None:
    accuracies = accuracy(an_outcome([2, 20, 4, 1], cases=[0, 0, 0, 1]))
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    assert accuracies.ndcg.tolist() == pytest.approx([(1 / math.log2(3) + 1 / math.log2(5)) / ideal, 1.0])
    assert accuracies.hr.tolist() == [1, 1]
    assert accuracies.precision.tolist() == pytest.approx([0.2, 0.1])
    assert accuracies.recall.tolist() == pytest.approx([2 / 3, 1.0])
    assert accuracies.mrr.tolist() == [0.5, 1.0]


def test_the_ideal_holds_no_more_than_ten() -> None:
    assert accuracy(an_outcome(list(range(1, 31)), cases=[0] * 30)).ndcg.tolist() == pytest.approx([1.0])


def test_seeds_are_averaged_case_by_case() -> None:
    accuracies = over_seeds([accuracy(an_outcome([1, 30])), accuracy(an_outcome([20, 30]))])
    assert accuracies.hr.tolist() == [0.5, 0.0]


def test_breakdowns_count_every_case_once() -> None:
    outcome = an_outcome(
        [1, 1, 30, 1, 30, 30],
        earlier=np.array([0, 1, 2, 4, 9, 10], np.int32),
        gap_ms=np.array([-1, 0, 3_600_000, 3_600_001, 86_400_000, 86_400_001], np.int64),
    )
    accuracies = accuracy(outcome)
    assert [(row["label"], row["cases"], row["hr"]) for row in breakdown.by_earlier(outcome, accuracies)] == [
        ("0", 1, 1), ("1", 1, 1), ("2", 1, 0), ("3-4", 1, 1), ("5-9", 1, 0), ("10+", 1, 0),
    ]  # fmt: skip
    assert [row["cases"] for row in breakdown.by_gap(outcome, accuracies)] == [1, 1, 1, 2, 1]
    assert breakdown.with_earlier(outcome, accuracies) == {
        "label": "with an earlier event", "cases": 5, "hr": 0.4, "ndcg": 0.4,
    }  # fmt: skip


def test_accuracy_is_reported_by_slices_of_the_split() -> None:
    accuracies = breakdown.by_learned(an_outcome([1, 30, 1]), accuracy(an_outcome([1, 30, 1])), start=0, end=40)
    assert [row["events"] for row in accuracies] == list(range(2, 41, 2))
    assert [(row["cases"], row.get("hr")) for row in accuracies[:3]] == [(2, 0.5), (1, 1.0), (0, None)]


def test_the_bootstrap_draws_users_with_all_their_cases() -> None:
    column = np.array([1.0, 1.0, 1.0, 0.0])
    bounds = interval(Bootstrap(np.array([5, 5, 5, 9], np.int32)).means(column))
    assert (bounds.low, bounds.high) == (0.0, 1.0), "either user may be drawn alone"
    same = interval(Bootstrap(np.array([5, 5, 9, 9], np.int32)).means(np.array([1.0, 0.0, 1.0, 0.0])))
    assert (same.low, same.high, same.se) == (0.5, 0.5, 0.0), "the users do not differ"


def test_the_error_of_many_users_is_that_of_a_mean() -> None:
    draw = np.random.default_rng(0)
    column = (draw.random(2_000) < 0.2).astype(np.float64)
    bounds = interval(Bootstrap(np.arange(2_000, dtype=np.int32)).means(column))
    assert bounds.se == pytest.approx(math.sqrt(0.2 * 0.8 / 2_000), rel=0.15)


def test_pairs_are_compared_draw_by_draw() -> None:
    draw = np.random.default_rng(0)
    bootstrap = Bootstrap(np.arange(300, dtype=np.int32))
    worse = draw.random(300)
    better = difference(bootstrap.means(worse + 0.01), bootstrap.means(worse))
    assert (better.mean, better.low, better.high) == pytest.approx((0.01, 0.01, 0.01))
    assert better.p == 0.0
    assert difference(bootstrap.means(worse), bootstrap.means(worse)).p == 1.0


def test_lists_are_judged_by_coverage_novelty_mixture_and_popularity() -> None:
    items = [an_item("p", category="a", topics=["t"]), an_item("q", category="a", topics=["t"]),
             an_item("r", category="b", topics=["t"]), an_item("s", category="c", topics=["u"])]  # fmt: skip
    stream = a_stream(
        ("1", "p", None, 1), ("2", "p", None, 2), ("3", "p", None, 3), ("1", "q", None, 4),
        ("1", "r", None, 5), ("1", "s", None, 6), ("2", "s", None, 7), ("2", "r", None, 8), items=items,
    )  # fmt: skip
    beyond_accuracy = BeyondAccuracy(stream, 4)
    pair = [0, 2, *[-1] * 8]
    measures = beyond_accuracy.of(an_outcome([1], event_index=np.array([4], np.int32), top=np.array([pair], np.int32)))
    assert beyond_accuracy.similarity == "topics"
    assert measures["coverage"] == 0.5
    assert measures["novelty"] == pytest.approx((-math.log2(4 / 8) - math.log2(1 / 8)) / 2)
    assert measures["diversity"] == pytest.approx(1 - 1 / 3), "they share t, of a, b and t"
    assert math.isnan(measures["popularity"]), "what was chosen had no event before"
    metrics = beyond_accuracy.of(an_outcome([1], event_index=np.array([3], np.int32), top=np.array([pair], np.int32)))
    assert metrics["popularity"] == pytest.approx(1.5), "(3 + 0) / 2 over 1"


def test_serendipity_is_how_far_the_hits_are_from_what_a_user_knows() -> None:
    items = [an_item("p", category="a", topics=["t"]), an_item("q", category="a", topics=["t"]),
             an_item("r", category="b", topics=["t"]), an_item("s", category="c", topics=["u"])]  # fmt: skip
    stream = a_stream(
        ("1", "p", None, 1), ("1", "q", None, 2), ("1", "r", None, 3), ("1", "s", None, 4), ("2", "s", None, 5),
        items=items,
    )  # fmt: skip
    beyond_accuracy = BeyondAccuracy(stream, 2)

    def serendipity(*ranks: int) -> float:
        events = np.array([1, 2, 3, 4], np.int32)
        top = np.zeros((4, 10), np.int32)
        return beyond_accuracy.of(an_outcome(list(ranks), event_index=events, top=top))["serendipity"]

    assert serendipity(1, 99, 99, 99) == 0.0, "q is what p is"
    assert serendipity(99, 10, 99, 99) == pytest.approx((1 - 1 / 3) / 4), "r shares t with p and q"
    assert serendipity(99, 99, 1, 99) == pytest.approx(1 / 4), "s shares nothing"
    assert serendipity(99, 99, 99, 1) == 0.0, "nothing is known of the other user"
    assert serendipity(99, 99, 99, 99) == 0.0


def test_without_topics_items_are_alike_when_the_same_users_touch_them() -> None:
    stream = a_stream(("1", "p", None, 1), ("2", "p", None, 2), ("1", "q", None, 3), ("2", "r", None, 4))
    beyond_accuracy = BeyondAccuracy(stream, 4)
    measures = beyond_accuracy.of(an_outcome([1], top=np.array([[0, 1, *[-1] * 8]], np.int32)))
    assert beyond_accuracy.similarity == "users"
    assert measures["diversity"] == pytest.approx(1 - 1 / math.sqrt(2))
