"""What every model owes, checked for each of the catalogue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from models.base import Model, ModelEvent, ModelQuery, top
from models.registry import MODELS

Build = Callable[[], Model]


def some_events() -> list[ModelEvent]:
    draw = np.random.default_rng(0)
    return [
        ModelEvent(
            f"u{draw.integers(8)}",
            f"i{draw.integers(30)}",
            1_700_000_000_000 + n * 60_000,
            float(draw.choice([1, 2, -1])),
        )
        for n in range(400)
    ]


def some_queries() -> list[ModelQuery]:
    histories = [(), (("i1", 1.0),), (("i2", 2.0), ("i3", 1.0)), (("i4", -1.0),), (("unheard", 1.0),)]
    return [ModelQuery(f"u{n}", history, frozenset(item for item, _ in history)) for n, history in enumerate(histories)]


def taught(build: Build) -> Model:
    model = build()
    model.learn(some_events())
    return model


def answers(model: Model) -> list[list[str]]:
    return [list(ranking.items) for ranking in model.recommend(some_queries(), 10)]


@dataclass(frozen=True)
class Case:
    """A model of the catalogue that has learned some events, and what it answered when it was first asked."""

    build: Build
    model: Model
    answers: list[list[str]]


@pytest.fixture(scope="module", params=MODELS.values(), ids=list(MODELS))
def case(request: pytest.FixtureRequest) -> Case:
    model = taught(request.param)
    return Case(request.param, model, answers(model))


def test_a_batch_teaches_what_its_events_teach_one_by_one(case: Case) -> None:
    model = case.build()
    for event in some_events():
        model.learn([event])
    assert answers(model) == case.answers


def test_queries_are_answered_together_as_one_by_one(case: Case) -> None:
    model = taught(case.build)
    assert [list(model.recommend([query], 10)[0].items) for query in some_queries()] == case.answers


def test_a_model_built_again_says_the_same(case: Case) -> None:
    assert answers(taught(case.build)) == case.answers


@pytest.mark.parametrize("k", [1, 7, 1_000])
def test_k_is_respected_and_nothing_excluded_or_doubled_is_shown(case: Case, k: int) -> None:
    for query, ranking in zip(some_queries(), case.model.recommend(some_queries(), k), strict=True):
        assert (
            len(ranking.items) == len(ranking.scores) == min(k, 30 - len({i for i in query.exclude if i != "unheard"}))
        )
        assert len(set(ranking.items)) == len(ranking.items)
        assert not query.exclude & set(ranking.items)


def test_scores_fall(case: Case) -> None:
    for ranking in case.model.recommend(some_queries(), 30):
        assert all(one >= other for one, other in zip(ranking.scores, ranking.scores[1:], strict=False))


def test_an_unknown_user_gets_the_fallback(case: Case) -> None:
    assert len(case.model.recommend([ModelQuery("nobody")], 5)[0].items) == 5


def test_an_untaught_model_recommends_nothing(case: Case) -> None:
    assert list(case.build().recommend([ModelQuery("u1")], 5)[0].items) == []


def test_scores_that_are_no_numbers_sort_last_and_ties_by_id() -> None:
    scores = np.array([np.nan, 1.0, np.inf, 2.0, 1.0])
    assert list(top(["a", "e", "c", "d", "b"], scores, 5).items) == ["d", "b", "e", "a", "c"]
    assert list(top(["a", "e", "c", "d", "b"], scores, 2).items) == ["d", "b"]
