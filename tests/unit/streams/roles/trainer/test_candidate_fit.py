"""Full fits on a world with two halves: whoever likes one thing of a half likes the rest of it, and nothing else."""

from __future__ import annotations

import random

import numpy as np
import pytest

from infra.redis.stores.model_status import NOT_JUDGED, REFUSED, SERVING
from streams.core.position import Position
from streams.core.ranking.ordering import Candidates
from streams.core.ranking.pipeline import new_blender, rank
from streams.roles.trainer.candidate_fit import CandidateFit, IncumbentModel
from tests.build import T0_MS, a_profile, an_interaction, an_item
from tests.unit.streams.builder import ITEMS, PARAMS, USERS, World, a_world, taught

NEVER = 10 * T0_MS
"""A watermark past all events: what is in service does not learn along."""


def a_reversed_world() -> World:
    """Return a world in which people swing between the halves, and then, for its last fifth, keep to one."""
    items, _ = a_world(0)
    draw = random.Random(1)
    events = []
    for number in range(900):
        user, turn = number % USERS, number // USERS
        half = turn % 2 if turn < 12 else user % 2
        choice = {event.item_id for event in events if event.user_id == f"u{user}"}
        item = draw.choice([name for name in items if int(name[1:]) % 2 == half and name not in choice])
        events.append(an_interaction(user_id=f"u{user}", item_id=item, occurred_at=T0_MS + 60_000 * number))
    return items, events


def test_a_fit_is_judged_on_the_outcomes_of_its_last_fifth(fit: CandidateFit) -> None:
    assert 0.15 * 900 <= fit.judged_ranks.outcomes <= 0.2 * 900
    assert fit.judged_ranks.hr()[0] > 2 * 10 / ITEMS  # twice what chance would hit


def test_the_first_fit_is_promoted(fit: CandidateFit) -> None:
    verdict = fit.verdict(tolerance=0.0)
    assert verdict.status == SERVING
    assert "of the weights before any fit" in verdict.reason
    assert verdict.metrics["ndcg@10"] > verdict.metrics["serving_ndcg@10"]


def test_a_fit_that_ranks_worse_than_what_serves_is_refused_and_says_by_how_much() -> None:
    items, events = a_reversed_world()
    clairvoyant = new_blender()
    last: list[tuple[Candidates, int]] = []
    fit = CandidateFit(PARAMS, items, [], total=len(events))
    fit.learner.on_outcome = lambda candidates, choice: last.append((candidates, choice))
    for number, event in enumerate(events):
        fit.learn(event, Position(0, number, number + 1))
    for candidates, choice in 300 * last[-180:]:
        members = np.flatnonzero(candidates.is_admissible)
        clairvoyant.learn(
            candidates.features.subset(members), int(members.searchsorted(choice)), candidates.query.context
        )
    fit = taught(items, events, serving=IncumbentModel(clairvoyant.state(), NEVER))
    refusal = fit.verdict(tolerance=0.02)
    assert refusal.status == REFUSED
    assert refusal.reason.startswith("worse: NDCG@10 0.")
    assert refusal.metrics["ndcg@10"] < 0.9 * refusal.metrics["serving_ndcg@10"]


def test_a_fit_that_ranks_better_than_what_serves_is_promoted(world: World, fit: CandidateFit) -> None:
    state = fit.learner.blender.state()
    verdict = taught(*world, serving=IncumbentModel(state | {"table": -state["table"]}, NEVER)).verdict(tolerance=0.0)
    assert verdict.status == SERVING
    assert verdict.metrics["ndcg@10"] > 2 * verdict.metrics["serving_ndcg@10"]


def test_what_is_in_service_is_not_preferred_for_having_learned_from_what_decides(
    world: World,
) -> None:
    items, events = world
    before = taught(items, events[:800])
    watermark = before.learner.catalog.watermark
    again = taught(items, events, serving=IncumbentModel(before.learner.blender.state(), watermark))
    assert again.unseen_ranks.outcomes == len(events) - 800 < again.judged_ranks.outcomes
    assert again.verdict(tolerance=0.0).metrics["outcomes"] == again.unseen_ranks.outcomes
    own, rival = again.unseen_ranks.ndcg()
    assert own == pytest.approx(rival, abs=0.01)  # taught alike, they rank alike


def test_where_nothing_came_since_a_fit_is_held_against_what_the_last_one_reached(
    world: World, fit: CandidateFit
) -> None:
    state, ndcg = fit.learner.blender.state(), fit.judged_ranks.ndcg()[0]
    same = taught(*world, serving=IncumbentModel(state, NEVER, ndcg))
    assert same.judged_ranks.ndcg_delta()[0] == pytest.approx(
        0.0, abs=0.015
    )  # held against each other, they say nothing
    assert same.verdict(tolerance=0.0).status == SERVING
    assert taught(*world, serving=IncumbentModel(state, NEVER, 2 * ndcg)).verdict(tolerance=0.0).status == REFUSED


def tallied(rank: float, rival: float, times: int = 100) -> CandidateFit:
    fit = CandidateFit(PARAMS, {}, [], total=1, serving=IncumbentModel(new_blender().state()))
    for number in range(times):
        fit.judged_ranks.add(rank, rival + number % 2 / 1_000)
    return fit


def test_worse_by_no_more_than_the_tolerance_is_promoted() -> None:
    fit = tallied(3.1, 3.0)  # NDCG of 0.491 and 0.500
    assert fit.verdict(tolerance=0.02).status == SERVING
    refusal = fit.verdict(tolerance=0.01)
    assert refusal.status == REFUSED
    assert refusal.reason == "worse: NDCG@10 0.4912 against 0.5000 of the version in service then, on 100 outcomes"


def test_worse_by_what_may_be_chance_is_promoted() -> None:
    fit = CandidateFit(PARAMS, {}, [], total=1, serving=IncumbentModel(new_blender().state()))
    for number in range(100):
        fit.judged_ranks.add(1.0 + number % 7, 1.0 + (number + 3) % 7 + (number % 3 - 1) * 0.9)
    lead, error = fit.judged_ranks.ndcg_delta()
    assert -2 * error < lead < 0
    assert fit.verdict(tolerance=0.0).status == SERVING


def test_a_fit_of_few_outcomes_is_not_judged_and_does_not_serve() -> None:
    verdict = tallied(1.0, 9.0, times=49).verdict(tolerance=0.0)
    assert (verdict.status, verdict.metrics) == (NOT_JUDGED, {"outcomes": 49.0})
    assert verdict.reason == "49 outcomes are too few to judge by: it takes 50"
    assert tallied(1.0, 9.0, times=50).verdict(tolerance=0.0).status == SERVING
    assert tallied(9.0, 1.0, times=50).verdict(tolerance=0.0).status == REFUSED


def test_a_tie_counts_at_its_mean_rank(fit: CandidateFit) -> None:
    level = new_blender()
    level.table[:] = 0.0
    new_fit = taught(*a_world(400), serving=IncumbentModel(level.state(), NEVER))
    assert new_fit.judged_ranks.ndcg()[1] < 0.1  # 30 candidates or so at their mean rank of 15


def test_an_item_enters_after_the_time_it_was_created() -> None:
    items = {"old": an_item("old", created_at=T0_MS), "new": an_item("new", created_at=T0_MS + 5_000)}
    fit = CandidateFit(PARAMS, items, [], total=3)
    for number, at_ms in enumerate((T0_MS, T0_MS + 5_000, T0_MS + 5_001)):
        fit.learn(an_interaction(item_id="other", user_id=f"u{number}", occurred_at=at_ms), Position(0, number, 1))
        view = fit.learner.catalog
        visible_items = {name for name in items if view.labels(name) is not None}
        assert visible_items == ({"old"} if number else set()) | ({"new"} if number == 2 else set())


def test_an_item_in_no_catalogue_is_learned_of_and_never_ranked() -> None:
    fit = CandidateFit(PARAMS, {"known": an_item("known")}, [], total=2)
    fit.learn(an_interaction(item_id="unknown"), Position(0, 0, 1))
    learner = fit.end()
    view = learner.catalog
    feed = rank(learner.features("u2"), view, learner.blender, PARAMS.rank, now_ms=T0_MS)
    assert feed.items == ["known"]
    assert view.neighbors.links.event_count(view.items.get("unknown")) > 0


def test_a_profile_counts_in_a_fit() -> None:
    fit = CandidateFit(PARAMS, {}, [(Position(0, 0, 1), a_profile(segment="25-34|f"))], total=1)
    assert fit.learner.features("u1").segment == "25-34|f"


def test_a_repeat_teaches_nothing(world: World, fit: CandidateFit) -> None:
    items, events = world
    twice = CandidateFit(PARAMS, items, [], total=2 * len(events))
    for number, event in enumerate([*events, *events]):
        twice.learn(event, Position(0, number, number + 1))
    assert twice.learner.events == len(events)
    np.testing.assert_array_equal(twice.learner.blender.table, fit.learner.blender.table)
