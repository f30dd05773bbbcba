import random
from collections.abc import Sequence

import pytest

from evaluation.contestants.contestant import EvalContext
from evaluation.contestants.served_blend import ServedBlend
from evaluation.protocols.as_served import ServingDelays
from evaluation.protocols.replay import ReplayOutcome, replay
from evaluation.protocols.stream import Stream
from models.base import ModelEvent, ModelQuery
from tests.unit.evaluation.builder import Line, Scripted, a_stream, filler

SCORES = {"x": 3.0, "y": 2.0, "z": 1.0}
EARLY: list[Line] = [*filler(5), ("b", "x", 5.0, 10), ("b", "y", 5.0, 11), ("b", "z", 5.0, 12)]


def served(stream: Stream, model: Scripted | None = None, **delays: int) -> ReplayOutcome:
    return replay(model or Scripted(SCORES), stream, "as-served", split="all", delays=ServingDelays(**delays))


def queries_of(model: Scripted, user: str) -> list[ModelQuery]:
    return [query for query in model.queries if query.user_id == user]


def history_of(query: ModelQuery) -> list[str]:
    return [event.item_id for event in query.history or ()]


def test_a_list_is_made_after_the_users_previous_event_and_stays() -> None:
    stream = a_stream(*EARLY, ("a", "x", 5.0, 100), ("c", "y", 5.0, 150), ("c", "z", 5.0, 151), ("a", "y", 5.0, 900))
    model = Scripted(SCORES)
    outcome = served(stream, model)
    _, second = queries_of(model, "a")
    assert (second.at_ms, history_of(second)) == (100_100, ["x"]), "made 100 ms after the event on x, and not at 900 s"
    assert "learn c:y" not in model.log, "nothing is made anew after what others do meanwhile"
    assert outcome.gap_ms[outcome.event_index == 11].tolist() == [800_000], "the reader came back after 800 s"


def test_models_know_what_was_published_by_then_and_the_history_all_of_the_users_events() -> None:
    stream = a_stream(*EARLY, ("c", "f1", 5.0, 99), ("a", "x", 5.0, 100), ("c", "y", 5.0, 100), ("a", "y", 5.0, 200))
    model = Scripted(SCORES)
    served(stream, model)
    log = model.log[: len(model.log) - 1 - model.log[::-1].index("rank a")]
    assert "learn c:f1" in log, "published at the whole second 100"
    assert "learn a:x" not in log, "the next publication is at second 101"
    assert history_of(queries_of(model, "a")[1]) == ["x"]


def test_a_longer_time_between_publications_leaves_models_further_behind() -> None:
    stream = a_stream(*EARLY, ("c", "f1", 5.0, 95), ("a", "x", 5.0, 100), ("a", "y", 5.0, 200))
    for tables_ms, knows in ((1_000, True), (30_000, False)):
        model = Scripted(SCORES)
        served(stream, model, tables_ms=tables_ms)
        last = len(model.log) - 1 - model.log[::-1].index("rank a")
        assert ("learn c:f1" in model.log[:last]) is knows


def test_before_the_first_feed_the_default_feed_is_served_as_it_is_then() -> None:
    stream = a_stream(*EARLY, ("c", "f1", 5.0, 99), ("a", "x", 5.0, 100))
    model = Scripted(SCORES)
    outcome = served(stream, model)
    (query,) = queries_of(model, "a")
    assert (query.at_ms, query.history) == (100_000, [])
    assert model.log[-2:] == ["learn c:f1", "rank a"]
    assert outcome.gap_ms[-1] == -1


def test_an_event_that_comes_before_its_feed_is_served_by_the_one_before() -> None:
    stream = a_stream(*EARLY, ("a", "x", 5.0, 100), ("a", "y", 5.0, 101), ("a", "z", 5.0, 102))
    model = Scripted(SCORES)
    outcome = served(stream, model, feed_ms=1_500)
    assert [history_of(query) for query in queries_of(model, "a")] == [[], [], ["x"]]
    assert outcome.rank[-1] == 2, "y is still in the list, before z"


def test_events_of_one_time_are_served_by_one_list() -> None:
    stream = a_stream(*EARLY, ("a", "z", 5.0, 100), ("a", "x", 5.0, 200), ("a", "y", 5.0, 200))
    model = Scripted(SCORES)
    outcome = served(stream, model)
    assert len(queries_of(model, "a")) == 2
    assert outcome.rank[-2:].tolist() == [1, 2]
    assert outcome.list_index[-2] == outcome.list_index[-1]


def test_the_test_events_are_those_of_prequential_strict() -> None:
    draw = random.Random(0)
    lines = [(f"u{draw.randrange(9)}", f"i{draw.randrange(400)}", 1.0 + n % 5, n // 3) for n in range(600)]
    stream = a_stream(*lines, repeats=False)
    strict = replay(Scripted(), stream, "prequential-strict", split="validation")
    outcome = replay(Scripted(), stream, "as-served", split="validation")
    assert len(outcome.event_index)
    assert sorted(outcome.event_index.tolist()) == sorted(strict.event_index.tolist())


def test_an_absent_user_is_ranked_again_each_day_until_inactive() -> None:
    day_s, delays = 86_400, ServingDelays(inactive_ms=3 * 86_400_000)
    for back_s, days in ((day_s, 0), (day_s + 1, 1), (2.5 * day_s, 2), (9 * day_s, 3)):
        made_ms = delays.made_ms(100_000, 100_000 + round(1_000 * back_s))
        assert made_ms == 100_100 + days * 86_400_000
    assert ServingDelays(rerank_ms=0).made_ms(100_000, 10**12) == 100_100


def test_a_reader_who_comes_back_days_later_reads_what_was_made_on_the_last_day() -> None:
    day_s = 86_400
    stream = a_stream(*EARLY, ("a", "x", 5.0, 100), ("c", "y", 5.0, 200), ("a", "y", 5.0, 100 + 2 * day_s + 50))
    model = Scripted(SCORES)
    served(stream, model)
    _, second = queries_of(model, "a")
    assert (second.at_ms, second.read_at_ms) == (100_100 + 172_800_000, 100_000 + 172_850_000)
    assert history_of(second) == ["x"]
    assert "learn c:y" in model.log[: model.log.index("rank a", model.log.index("rank a") + 1)]


def clicks(*lines: tuple[str, str, int]) -> list[ModelEvent]:
    return [ModelEvent(user, item, 1_000 * second, 1.0) for user, item, second in lines]


def a_blend(weights_ms: int = 5_000, events: Sequence[ModelEvent] = ()) -> ServedBlend:
    delays = ServingDelays(weights_ms=weights_ms)
    blend = ServedBlend(EvalContext(catalogue=(), seed=0, delays=delays))
    blend.learn(events)
    return blend


BOTH = clicks(*((user, f"i{(n + 3 * k) % 9}", 10 * n) for n in range(9) for k, user in enumerate("abc")))
"""Three users who choose the same items in turn: after a while, each has been chosen by another before."""


def test_weights_serve_once_they_are_published() -> None:
    blend = a_blend(events=BOTH)
    blender = blend.learner.blender
    assert blender.outcomes
    assert blend._blender(84_999).outcomes < blender.outcomes, "the last event, at 80 s, is in the period from 80 s on"
    assert blend._blender(85_000).outcomes == blender.outcomes


def test_weights_that_are_never_published_never_serve() -> None:
    blend = a_blend(weights_ms=0, events=BOTH)
    assert blend._blender(10**9).outcomes == 0
    assert blend._offset("a") is None


def test_a_feed_is_ranked_at_the_time_of_the_last_event() -> None:
    blend = a_blend(events=BOTH)
    own = clicks(("d", "i1", 60))
    at_once, a_day_later = (ModelQuery("d", at_ms=at_ms, history=own) for at_ms in (85_000, 85_000 + 86_400_000))
    assert blend.scores([at_once])[0].tolist() == blend.scores([a_day_later])[0].tolist()


def test_a_reader_who_comes_back_later_is_shown_the_order_for_then() -> None:
    blend = a_blender_by_gap()
    own = clicks(("d", "i1", 80))
    read_at = [None, 80_100, 80_000 + 59_999, 80_000 + 60_000, 80_000 + 200_000]
    first, now, before, after, later = (
        blend.scores([ModelQuery("d", at_ms=80_100, read_at_ms=at_ms, history=own)])[0].tolist() for at_ms in read_at
    )
    assert first == now == before
    assert after == later != first


def a_blender_by_gap() -> ServedBlend:
    """Return a blend whose weights of readers who are away for a minute are the opposite of those of others."""
    blend = a_blend(events=BOTH)
    blend._publish(10**9)
    blender = blend._published_blender
    blender.table[blender._rows((0, 4, 0, 0))[2]] = -2.0 * blender.table[0]
    blender._weights_by_context.clear()
    return blend


@pytest.mark.parametrize("events", [1, 3, 9])
def test_a_history_that_goes_on_is_folded_on(events: int) -> None:
    blend, anew = a_blend(events=BOTH), a_blend(events=BOTH)
    own = clicks(*(("d", f"i{n}", 5 * n) for n in range(9)))
    blend.scores([ModelQuery("d", history=own[:events])])
    blend.scores([ModelQuery("d", history=own[4:])])
    query = ModelQuery("d", history=own)
    assert blend.scores([query])[0].tolist() == anew.scores([query])[0].tolist()
