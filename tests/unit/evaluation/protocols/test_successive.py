import numpy as np

from evaluation.protocols.replay import ReplayOutcome, replay
from evaluation.protocols.stream import Stream
from evaluation.protocols.successive import five_core, holdout_bounds
from tests.unit.evaluation.builder import Line, Scripted, a_stream


def dense(users: int = 5, items: int = 5) -> list[Line]:
    """Return lines in which each user chooses each item, one line a second."""
    return [(f"u{n % users}", f"i{n // users}", 1.0 + n % 5, n) for n in range(users * items)]


def events_of(stream: Stream) -> list[tuple[str, str]]:
    return [(event.user_id, event.item_id) for event in stream.events]


def test_users_and_items_with_fewer_than_five_events_are_dropped_until_none_is_left() -> None:
    rare = [("u9", f"i{n}", 5.0, 100 + n) for n in range(4)] + [(f"u{n}", "rare", 5.0, 200 + n) for n in range(3)]
    follows = [("v", item, 5.0, 300 + n) for n, item in enumerate(("i0", "i1", "i2", "i3", "rare"))]
    core = five_core(a_stream(*dense(), *rare, *follows))
    assert events_of(core) == events_of(a_stream(*dense())), "without the item rare, user v has four events"
    assert (core.users, core.items) == ([f"u{n}" for n in range(5)], [f"i{n}" for n in range(5)])


def test_every_rating_is_an_interaction_of_one_weight() -> None:
    core = five_core(a_stream(*dense()))
    assert {(event.weight, event.rating) for event in core.events} == {(1.0, None)}
    assert core.positive.all()
    assert np.isnan(core.rating).all()
    assert not core.has_ratings


def test_of_consecutive_events_on_one_item_the_first_stays() -> None:
    twice = [(user, item, stars, 2 * at + again) for user, item, stars, at in dense() for again in (0, 1)]
    back = [("u0", "i0", 5.0, 100)]
    core = five_core(a_stream(*twice, *back))
    assert len(core) == 26, "a return after other items is an event of its own"
    assert core.at_ms[:3].tolist() == [0, 2_000, 4_000]
    assert not core.fresh[-1]


def test_dropping_an_item_may_make_others_consecutive() -> None:
    lines = [(user, item, stars, 10 * at) for user, item, stars, at in dense(users=6)]
    between = [("u0", "gone", 5.0, 241), ("u0", "i4", 5.0, 242)]  # its last event on i4 is at 240
    assert ("u0", "i4", 5.0, 240) in [(user, item, 5.0, at) for user, item, _, at in lines]
    core = five_core(a_stream(*lines, *between))
    assert len(core) == 30


STREAM = [(f"u{n % 5}", f"i{n // 5}", 5.0, n) for n in range(45)]
AFTER = [("u0", "i9", 5.0, 50), ("u0", "i0", 5.0, 51), ("new", "i1", 5.0, 52), ("new", "i2", 5.0, 53)]
"""Five events before the last tenth are needed: 49 events, of which those after second 43.2 are the holdout."""


def outcome_of(protocol: str, model: Scripted, part: str = "test") -> ReplayOutcome:
    return replay(model, a_stream(*STREAM, *AFTER, repeats=False), protocol, split=part)  # type: ignore[arg-type]


def test_every_event_after_the_split_is_ranked_on_the_live_history_by_a_frozen_model() -> None:
    model = Scripted()
    outcome = outcome_of("successive", model)
    assert outcome.event_index.tolist() == [44, 45, 46, 48], "the first event of a new user is no target"
    assert not any(line.startswith("learn") for line in model.log[model.log.index("rank u4") :])
    assert [len(query.history or ()) for query in model.queries] == [8, 9, 10, 1]
    assert [item for item, _ in model.queries[-1].recent] == ["i1"], "the history of a new user"
    assert outcome.rank[1] > 10, "i9 is unknown to the frozen model"
    assert outcome.rank[2] > 10, "i0 was seen before: a target, and a miss"


def test_a_live_model_learns_each_event_after_its_ranking() -> None:
    model = Scripted()
    outcome = outcome_of("successive-live", model)
    assert outcome.event_index.tolist() == [44, 45, 46, 48]
    assert model.log[-6:] == ["learn u0:i9", "rank u0", "learn u0:i0", "learn new:i1", "rank new", "learn new:i2"]
    assert all(query.history is None for query in model.queries)


def test_validation_splits_the_training_data_once_more() -> None:
    model = Scripted()
    outcome = outcome_of("successive", model, "validation")
    assert outcome.event_index.tolist() == list(range(39, 44))
    assert sum(line.startswith("learn") for line in model.log) == 39
    stream = a_stream(*STREAM, *AFTER, repeats=False)
    assert holdout_bounds(stream, "validation") == (39, 44)
    assert holdout_bounds(stream, "test") == (44, 49)


def test_a_single_event_before_the_split_is_history_but_is_not_learned() -> None:
    stream = a_stream(*STREAM[:40], ("one", "i0", 5.0, 39), *[("u0", f"i{n}", 5.0, 50) for n in (8,)],
                      ("one", "i1", 5.0, 60), ("u1", "i8", 5.0, 61), ("u2", "i8", 5.0, 62))  # fmt: skip
    model = Scripted()
    outcome = replay(model, stream, "successive")
    assert "learn one:i0" not in model.log
    assert [event.item_id for query in model.queries if query.user_id == "one" for event in query.history or ()] == [
        "i0"
    ]
    assert 42 in outcome.event_index.tolist()
