"""What every model owes, checked for each of the catalogue."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from models.catalogue import MODELS
from models.model import Event, Model, Query, top

BUILDERS = list(MODELS.values())
every_model = pytest.mark.parametrize("build", BUILDERS, ids=list(MODELS))
Build = Callable[[], Model]


def some_events(seed: int = 0) -> list[Event]:
    draw = np.random.default_rng(seed)
    return [
        Event(
            f"u{draw.integers(8)}",
            f"i{draw.integers(30)}",
            1_700_000_000_000 + n * 60_000,
            float(draw.choice([1, 2, -1])),
        )
        for n in range(400)
    ]


def some_queries() -> list[Query]:
    histories = [(), (("i1", 1.0),), (("i2", 2.0), ("i3", 1.0)), (("i4", -1.0),), (("unheard", 1.0),)]
    return [Query(f"u{n}", history, frozenset(item for item, _ in history)) for n, history in enumerate(histories)]


def taught(build: Build, events: list[Event]) -> Model:
    model = build()
    model.learn(events)
    return model


@every_model
def test_a_batch_teaches_what_its_events_teach_one_by_one(build: Build) -> None:
    at_once, stepwise = taught(build, some_events()), build()
    for event in some_events():
        stepwise.learn([event])
    for one, other in zip(at_once.recommend(some_queries(), 10), stepwise.recommend(some_queries(), 10), strict=True):
        assert list(one.items) == list(other.items)


@every_model
def test_queries_are_answered_together_as_one_by_one(build: Build) -> None:
    together = taught(build, some_events()).recommend(some_queries(), 10)
    alone = taught(build, some_events())
    for ranked, query in zip(together, some_queries(), strict=True):
        assert list(ranked.items) == list(alone.recommend([query], 10)[0].items)


@every_model
@pytest.mark.parametrize("k", [1, 7, 1_000])
def test_k_is_respected_and_nothing_excluded_or_doubled_is_shown(build: Build, k: int) -> None:
    for query, ranked in zip(some_queries(), taught(build, some_events()).recommend(some_queries(), k), strict=True):
        assert len(ranked.items) == len(ranked.scores) == min(k, 30 - len({i for i in query.exclude if i != "unheard"}))
        assert len(set(ranked.items)) == len(ranked.items)
        assert not query.exclude & set(ranked.items)


@every_model
def test_scores_fall(build: Build) -> None:
    for ranked in taught(build, some_events()).recommend(some_queries(), 30):
        assert all(one >= other for one, other in zip(ranked.scores, ranked.scores[1:], strict=False))


@every_model
def test_an_unknown_user_gets_the_fallback(build: Build) -> None:
    assert len(taught(build, some_events()).recommend([Query("nobody")], 5)[0].items) == 5


@every_model
def test_an_untaught_model_recommends_nothing(build: Build) -> None:
    assert list(build().recommend([Query("u1")], 5)[0].items) == []


@every_model
def test_a_model_built_again_says_the_same(build: Build) -> None:
    one = taught(build, some_events()).recommend(some_queries(), 10)
    other = taught(build, some_events()).recommend(some_queries(), 10)
    assert [list(ranked.items) for ranked in one] == [list(ranked.items) for ranked in other]


def test_scores_that_are_no_numbers_sort_last_and_ties_by_id() -> None:
    scores = np.array([np.nan, 1.0, np.inf, 2.0, 1.0])
    assert list(top(["a", "e", "c", "d", "b"], scores, 5).items) == ["d", "b", "e", "a", "c"]
    assert list(top(["a", "e", "c", "d", "b"], scores, 2).items) == ["d", "b"]
