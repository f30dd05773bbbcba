from __future__ import annotations

from streams.core.learning.learner import Learner
from streams.core.position import Position
from streams.roles.trainer.candidate_fit import CandidateFit
from streams.roles.trainer.model_version import record, version_of
from streams.roles.trainer.online_learner import ItemDeleted, OnlineLearner, new_learner
from tests.build import T0_MS, a_choice, a_version, an_interaction, an_item
from tests.unit.streams.builder import PARAMS, World, taught


def a_live() -> OnlineLearner:
    return OnlineLearner(Learner(PARAMS, refits_item_weights=False))


def test_links_are_neither_learned_online_nor_taken_over_from_a_fit(world: World) -> None:
    live = OnlineLearner(new_learner(PARAMS))
    for number in range(20):
        live.apply(an_interaction(item_id=f"i{number}"), Position(0, number, number + 1))
    assert not live.learner.catalog.neighbors.links.event_count(0)
    learner = taught(*world).end()
    assert learner.catalog.neighbors.links.event_count(0)
    live.promote(learner, a_version())
    live.apply(an_interaction(), Position(0, 2_000, 2_000))
    rows = live.learner.catalog.neighbors.links
    assert not any(rows.event_count(item) or len(rows.row(item)[0]) for item in range(len(learner.catalog.items)))
    assert live.learner.events == len(world[1]) + 1


def test_online_weights_are_published_once_changed_and_named_after_their_base(world: World, fit: CandidateFit) -> None:
    items, events = world
    live = a_live()
    for item in items.values():
        live.apply(item, Position(0, 0, 1))
    live.warm_start(record(a_version(), list(fit.learner.blender.features), fit.learner.blender.state()))
    assert not live.has_unpublished
    for event in events[:30]:
        live.apply(a_choice(item_id=str(event.item_id)), Position(0, 0, 1))
    assert live.has_unpublished
    weights = live.weights(T0_MS)
    assert weights.version == f"v1+{live.outcomes}"
    assert not live.has_unpublished

    again = a_live()
    assert again.warm_start(weights)
    assert (again.version, again.base and again.base.version) == (weights.version, "v1")
    assert version_of(weights).version == weights.version


def test_categories_that_repeat_are_published_once_changed_and_taken_over_after_a_restart(fit: CandidateFit) -> None:
    live = a_live()
    live.warm_start(record(a_version(), list(fit.learner.blender.features), fit.learner.blender.state()))
    for _ in range(100):
        live.learner.repeats.add("places", is_return=True)
    assert live.has_unpublished
    weights = live.weights(T0_MS)
    assert weights.repeated_categories == ["places"]
    assert not live.has_unpublished

    again = a_live()
    again.warm_start(weights)
    assert again.learner.catalog.repeated_categories == {"places"}
    assert not again.has_unpublished


def test_an_item_that_is_gone_is_ranked_no_more() -> None:
    live = a_live()
    live.apply(an_item("i1"), Position(0, 0, 1))
    live.apply(ItemDeleted("i1"), Position(0, 1, 2))
    assert not live.learner.catalog.is_listed.any()
