"""Full fits on a world with two halves: whoever likes one thing of a half likes the rest of it, and nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import numpy as np
import pytest

from infra.error import OperatorError
from infra.model_board import REFUSED, REPLACED, SERVING, Version, standing
from infra.settings import Settings
from schemas.types import Interaction, Item
from streams.core.learner import Learner
from streams.core.position import Position
from streams.core.rank import MODEL, Look, apply_version, new_blender, rank
from streams.core.view import View
from streams.jobs.fit import Fit, Rival
from streams.jobs.history import merged
from streams.jobs.live import Gone, Live
from streams.jobs.schedule import FIRST_EVENTS, Due, Schedule
from streams.jobs.shelf import Shelf
from streams.jobs.version import REFUSED_MODEL, fitted, name_of, record, restore, rows, version_of
from streams.params import learner_params
from tests.build import T0_MS, a_profile, an_interaction, an_item

PARAMS = learner_params(Settings())
ITEMS, USERS = 40, 60
HOUR_MS = 3_600_000
NEVER = 10 * T0_MS
"""A watermark past all events: what is in service does not learn along."""


def a_world(events: int = 900, *, seed: int = 0) -> tuple[dict[str, Item], list[Interaction]]:
    """Return a catalogue without categories, and events in which each user keeps to a half of it."""
    draw = random.Random(seed)
    items = [an_item(f"i{n}", category="all", topics=[], created_at=T0_MS - 1) for n in range(ITEMS)]
    left = {user: draw.sample(range(user % 2, ITEMS, 2), ITEMS // 2) for user in range(USERS)}
    told = []
    for number in range(events):
        user = draw.choice([user for user in left if left[user]])
        item = left[user].pop()
        told.append(an_interaction(user_id=f"u{user}", item_id=f"i{item}", occurred_at=T0_MS + 60_000 * number))
    return {item.item_id: item for item in items}, told


def taught(items: dict[str, Item], events: list[Interaction], **options: object) -> Fit:
    fit = Fit(PARAMS, items, [], total=len(events), **options)  # type: ignore[arg-type]
    for number, event in enumerate(events):
        fit.learn(event, Position(0, number, number + 1))
    return fit


@pytest.fixture(scope="module")
def world() -> tuple[dict[str, Item], list[Interaction]]:
    return a_world()


@pytest.fixture(scope="module")
def fit(world: tuple[dict[str, Item], list[Interaction]]) -> Fit:
    return taught(*world)


def a_version(**overrides: object) -> Version:
    fields = {"version": "v1", "status": SERVING, "created_at": T0_MS, "events": 10}
    return Version(**(fields | overrides))  # type: ignore[arg-type]


def a_reversed_world() -> tuple[dict[str, Item], list[Interaction]]:
    """Return a world in which people swing between the halves, and then, for its last fifth, keep to one."""
    items, _ = a_world(0)
    draw = random.Random(1)
    told = []
    for number in range(900):
        user, turn = number % USERS, number // USERS
        half = turn % 2 if turn < 12 else user % 2
        taken = {event.item_id for event in told if event.user_id == f"u{user}"}
        item = draw.choice([name for name in items if int(name[1:]) % 2 == half and name not in taken])
        told.append(an_interaction(user_id=f"u{user}", item_id=item, occurred_at=T0_MS + 60_000 * number))
    return items, told


def test_a_fit_is_judged_on_the_outcomes_of_its_last_fifth(fit: Fit) -> None:
    assert 0.15 * 900 <= fit.judged.outcomes <= 0.2 * 900
    assert fit.judged.hr()[0] > 2 * 10 / ITEMS  # twice what chance would hit


def test_the_first_fit_is_promoted(fit: Fit) -> None:
    verdict = fit.verdict(tolerance=0.0)
    assert (verdict.promoted, verdict.reason) == (True, "nothing was in service")


def test_a_fit_that_ranks_worse_than_what_serves_is_refused_and_says_by_how_much() -> None:
    items, events = a_reversed_world()
    clairvoyant = new_blender()
    last: list[tuple[Look, int]] = []
    fit = Fit(PARAMS, items, [], total=len(events))
    fit.learner.on_outcome = lambda seen, taken: last.append((seen, taken))
    for number, event in enumerate(events):
        fit.learn(event, Position(0, number, number + 1))
    for seen, taken in 5 * last[-180:]:
        clairvoyant.learn(seen.parts, taken, seen.whom.context)
    fit = taught(items, events, serving=Rival(clairvoyant.state(), NEVER))
    refused = fit.verdict(tolerance=0.02)
    assert not refused.promoted
    assert refused.reason.startswith("worse: NDCG@10 0.")
    assert refused.metrics["ndcg@10"] < 0.9 * refused.metrics["serving_ndcg@10"]


def test_a_fit_that_ranks_better_than_what_serves_is_promoted(
    world: tuple[dict[str, Item], list[Interaction]], fit: Fit
) -> None:
    state = fit.learner.blender.state()
    verdict = taught(*world, serving=Rival(state | {"table": -state["table"]}, NEVER)).verdict(tolerance=0.0)
    assert verdict.promoted
    assert verdict.metrics["ndcg@10"] > 2 * verdict.metrics["serving_ndcg@10"]


def test_what_is_in_service_is_not_preferred_for_having_learned_from_what_decides(
    world: tuple[dict[str, Item], list[Interaction]],
) -> None:
    items, events = world
    before = taught(items, events[:800])
    watermark = before.learner.view.watermark
    again = taught(items, events, serving=Rival(before.learner.blender.state(), watermark))
    assert again.unseen.outcomes == len(events) - 800 < again.judged.outcomes
    assert again.verdict(tolerance=0.0).metrics["outcomes"] == again.unseen.outcomes
    own, rival = again.unseen.ndcg()
    assert own == pytest.approx(rival, abs=0.01)  # taught alike, they rank alike


def test_where_nothing_came_since_a_fit_is_held_against_what_the_last_one_reached(
    world: tuple[dict[str, Item], list[Interaction]], fit: Fit
) -> None:
    state, reached = fit.learner.blender.state(), fit.judged.ndcg()[0]
    same = taught(*world, serving=Rival(state, NEVER, reached))
    assert same.judged.lead()[0] < 0  # what serves has learned from these outcomes, and ranks them better by that
    assert same.verdict(tolerance=0.0).promoted
    assert not taught(*world, serving=Rival(state, NEVER, 2 * reached)).verdict(tolerance=0.0).promoted


def tallied(rank: float, rival: float, times: int = 100) -> Fit:
    fit = Fit(PARAMS, {}, [], total=1, serving=Rival(new_blender().state()))
    for number in range(times):
        fit.judged.add(rank, rival + number % 2 / 1_000)
    return fit


def test_worse_by_no_more_than_the_tolerance_is_promoted() -> None:
    fit = tallied(3.1, 3.0)  # NDCG of 0.491 and 0.500
    assert fit.verdict(tolerance=0.02).promoted
    refused = fit.verdict(tolerance=0.01)
    assert not refused.promoted
    assert refused.reason == "worse: NDCG@10 0.4912 against 0.5000 of what was in service, on 100 outcomes"


def test_worse_by_what_may_be_chance_is_promoted() -> None:
    fit = Fit(PARAMS, {}, [], total=1, serving=Rival(new_blender().state()))
    for number in range(100):
        fit.judged.add(1.0 + number % 7, 1.0 + (number + 3) % 7 + (number % 3 - 1) * 0.9)
    lead, error = fit.judged.lead()
    assert -2 * error < lead < 0
    assert fit.verdict(tolerance=0.0).promoted


def test_few_outcomes_say_nothing() -> None:
    assert tallied(9.0, 1.0, times=49).verdict(tolerance=0.0).promoted
    assert not tallied(9.0, 1.0, times=50).verdict(tolerance=0.0).promoted


def test_a_tie_counts_at_its_mean_rank(fit: Fit) -> None:
    level = new_blender()
    level.table[:] = 0.0
    ranked = taught(*a_world(400), serving=Rival(level.state(), NEVER))
    assert ranked.judged.ndcg()[1] < 0.1  # 30 candidates or so at their mean rank of 15


def test_an_item_enters_after_the_time_it_was_created() -> None:
    items = {"old": an_item("old", created_at=T0_MS), "new": an_item("new", created_at=T0_MS + 5_000)}
    fit = Fit(PARAMS, items, [], total=3)
    for number, at_ms in enumerate((T0_MS, T0_MS + 5_000, T0_MS + 5_001)):
        fit.learn(an_interaction(item_id="other", user_id=f"u{number}", occurred_at=at_ms), Position(0, number, 1))
        view = fit.learner.view
        listed = {name for name in items if view.subject(name) is not None}
        assert listed == ({"old"} if number else set()) | ({"new"} if number == 2 else set())


def test_an_item_in_no_catalogue_is_learned_of_and_never_ranked() -> None:
    fit = Fit(PARAMS, {"known": an_item("known")}, [], total=2)
    fit.learn(an_interaction(item_id="unknown"), Position(0, 0, 1))
    learner = fit.end()
    view = learner.view
    feed = rank(learner.features("u2"), view, learner.blender, PARAMS.rank, now_ms=T0_MS)
    assert feed.items == ["known"]
    assert view.neighbors.links.mass(view.items.get("unknown")) > 0


def test_a_profile_counts_in_a_fit() -> None:
    fit = Fit(PARAMS, {}, [(Position(0, 0, 1), a_profile(segment="25-34|f"))], total=1)
    assert fit.learner.features("u1").segment == "25-34|f"


def test_a_repeat_teaches_nothing(world: tuple[dict[str, Item], list[Interaction]], fit: Fit) -> None:
    items, events = world
    twice = Fit(PARAMS, items, [], total=2 * len(events))
    for number, event in enumerate([*events, *events]):
        twice.learn(event, Position(0, number, number + 1))
    assert twice.learner.events == len(events)
    np.testing.assert_array_equal(twice.learner.blender.table, fit.learner.blender.table)


def test_a_version_goes_through_a_file_and_a_record_to_a_worker_unchanged(fit: Fit, tmp_path: Path) -> None:
    learner = fit.end()
    version = a_version(metrics={"ndcg@10": 0.5}, request_ids=["one", "other"], events=learner.events)
    shelf = Shelf(tmp_path, kept=3)
    shelf.put(fitted(version, learner), serving=None)
    found = shelf.get("v1")
    assert found.version == version

    view, blender = View(), new_blender()
    for item in learner.view.items.names:
        view.apply_item(an_item(item, category="all", topics=[], created_at=T0_MS - 1))
    for row in rows(found):
        view.apply_weights(row)
    apply_version(blender, record(found.version, found.parts, found.blender))
    np.testing.assert_array_equal(blender.table, learner.blender.table)
    numbers, tastes = learner.view.tastes.block(0)
    other = view.items.known(learner.view.items.names[number] for number in numbers.tolist())
    np.testing.assert_array_equal(view.tastes.between(other, other)[0], tastes)


def test_a_refused_version_has_a_key_of_its_own_and_moves_no_worker(fit: Fit) -> None:
    told = record(a_version(status=REFUSED), list(fit.learner.blender.parts), fit.learner.blender.state())
    blender = new_blender()
    before = blender.table.copy()
    apply_version(blender, told)
    assert told.model == REFUSED_MODEL != MODEL
    np.testing.assert_array_equal(blender.table, before)


def test_a_blender_goes_on_as_if_it_had_not_stopped(fit: Fit) -> None:
    told = record(a_version(), list(fit.learner.blender.parts), fit.learner.blender.state())
    restored, going_on = new_blender(), fit.learner.blender
    assert restore(restored, told)
    parts = np.random.default_rng(0).random((len(restored.parts), 5), np.float32)
    continued = new_blender()
    continued.restore({name: array.copy() for name, array in going_on.state().items()})
    for blender in (restored, continued):
        blender.learn(parts, 2, (1, 1))
    np.testing.assert_array_equal(restored.table, continued.table)


def test_weights_of_other_parts_are_left_alone(fit: Fit) -> None:
    told = record(a_version(), ["other"], fit.learner.blender.state())
    assert not restore(new_blender(), told)


def test_the_shelf_keeps_the_newest_and_the_one_in_service(fit: Fit, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, kept=2)
    for name in ("v1", "v2", "v3", "v4"):
        shelf.put(fitted(a_version(version=name), fit.learner), serving="v1")
    assert [version.version for version in shelf.versions()] == ["v4", "v3", "v1"]


def test_the_way_back_passes_over_refused_versions(fit: Fit, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, kept=9)
    for name, status in (("v1", SERVING), ("v2", REFUSED), ("v3", SERVING)):
        shelf.put(fitted(a_version(version=name, status=status), fit.learner), serving=None)
    assert shelf.before("v3") == "v1"
    with pytest.raises(OperatorError, match="no version before v1"):
        shelf.before("v1")
    with pytest.raises(OperatorError, match="no version \\.\\./v1"):
        shelf.get("../v1")


def test_a_damaged_file_is_told_as_such(fit: Fit, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, kept=9)
    shelf.put(fitted(a_version(), fit.learner), serving=None)
    (file,) = (tmp_path / "models" / MODEL).iterdir()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(OperatorError, match="cannot be used"):
        shelf.get("v1")


def test_names_of_later_versions_sort_later() -> None:
    assert name_of(0) == "19700101T000000.000Z"
    assert name_of(T0_MS) < name_of(T0_MS + 1) < name_of(T0_MS + 1_000)


def test_a_version_stands_as_what_is_in_service_says() -> None:
    assert standing(a_version(), "v1").status == SERVING
    assert standing(a_version(), "v2").status == REPLACED
    assert standing(a_version(status=REFUSED), "v2").status == REFUSED
    assert standing(a_version(status=REFUSED), "v1").status == SERVING  # rolled forward to by hand


SCHEDULE = Schedule(3_600, 86_400)


def test_a_first_fit_waits_for_enough_events() -> None:
    assert SCHEDULE.next([], events=FIRST_EVENTS - 1, started_at=T0_MS) is None
    assert SCHEDULE.next([], events=FIRST_EVENTS, started_at=T0_MS) == Due(T0_MS + 60_000, full=True)


def test_fits_come_hourly_and_full_ones_daily() -> None:
    full = a_version(events=5)
    hourly = a_version(full=False, created_at=T0_MS + 23 * HOUR_MS, events=9)
    assert SCHEDULE.next([full], events=6, started_at=0) == Due(T0_MS + HOUR_MS, full=False)
    assert SCHEDULE.next([hourly, full], events=10, started_at=0) == Due(T0_MS + 24 * HOUR_MS, full=True)


def test_nothing_is_due_when_nothing_is_new_or_fits_are_only_asked_for() -> None:
    assert SCHEDULE.next([a_version(events=5)], events=5, started_at=0) is None
    assert Schedule(0, 0).next([a_version(events=5)], events=6, started_at=0) is None


def a_live() -> Live:
    return Live(Learner(PARAMS, refits=False))


def test_partitions_are_merged_by_time_and_each_keeps_its_order() -> None:
    def at(partition: int, offset: int, minute: int, event_id: str) -> tuple[Position, Interaction]:
        return Position(partition, offset, 1), an_interaction(event_id=event_id, occurred_at=T0_MS + 60_000 * minute)

    one = [at(0, 0, 1, "z"), at(0, 1, 1, "a"), at(0, 2, 0, "late"), at(0, 3, 5, "c")]
    other = [at(1, 0, 1, "b"), at(1, 1, 4, "d")]
    assert [event.event_id for _, event in merged([one, other])] == ["b", "z", "a", "late", "d", "c"]


def test_live_rows_keep_within_their_links() -> None:
    live = a_live()
    for number in range(20):
        live.take(an_interaction(item_id=f"i{number}"), Position(0, number, number + 1), weigh=False)
    first = list(live.rows(40))
    assert sum(len(row.neighbors) for row in first) <= 40
    assert live.waiting == 20 - len(first)
    rest = list(live.rows(10_000))
    assert {row.item_id for row in (*first, *rest)} == {f"i{number}" for number in range(20)}
    assert live.waiting == 0


def test_live_weights_are_told_once_changed_and_named_after_their_base(
    world: tuple[dict[str, Item], list[Interaction]], fit: Fit
) -> None:
    items, events = world
    live = a_live()
    for item in items.values():
        live.take(item, Position(0, 0, 1), weigh=False)
    live.go_on_from(record(a_version(), list(fit.learner.blender.parts), fit.learner.blender.state()))
    assert not live.untold
    for number, event in enumerate(events[:30]):
        live.take(event, Position(0, number, number + 1), weigh=True)
    assert live.untold
    told = live.weights(T0_MS)
    assert told.version == f"v1+{live.outcomes}"
    assert not live.untold

    again = a_live()
    assert again.go_on_from(told)
    assert (again.version, again.base and again.base.version) == (told.version, "v1")
    assert version_of(told).version == told.version


def test_an_item_that_is_gone_is_ranked_no_more() -> None:
    live = a_live()
    live.take(an_item("i1"), Position(0, 0, 1), weigh=False)
    live.take(Gone("i1"), Position(0, 1, 2), weigh=False)
    assert not live.learner.view.listed.any()


def test_the_board_travels_as_json() -> None:
    version = a_version(metrics={"ndcg@10": 0.5})
    assert msgspec.json.decode(msgspec.json.encode(version), type=Version) == version
