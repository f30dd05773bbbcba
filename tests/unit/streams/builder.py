"""A world with two halves, and what a fit learns of it."""

from __future__ import annotations

import random

from infra.settings import Settings
from schemas.types import Interaction, Item
from streams.core.position import Position
from streams.roles.trainer.candidate_fit import CandidateFit
from streams.roles.trainer.learner_params import learner_params
from tests.build import T0_MS, an_interaction, an_item

PARAMS = learner_params(Settings())
ITEMS, USERS = 40, 60

World = tuple[dict[str, Item], list[Interaction]]


def a_world(events: int = 900, *, seed: int = 0) -> World:
    """Return a catalogue without categories, and events in which each user keeps to a half of it."""
    draw = random.Random(seed)
    items = [an_item(f"i{n}", category="all", topics=[], created_at=T0_MS - 1) for n in range(ITEMS)]
    items_by_user = {user: draw.sample(range(user % 2, ITEMS, 2), ITEMS // 2) for user in range(USERS)}
    replayed_events = []
    for number in range(events):
        user = draw.choice([user for user in items_by_user if items_by_user[user]])
        item = items_by_user[user].pop()
        replayed_events.append(
            an_interaction(user_id=f"u{user}", item_id=f"i{item}", occurred_at=T0_MS + 60_000 * number)
        )
    return {item.item_id: item for item in items}, replayed_events


def taught(items: dict[str, Item], events: list[Interaction], **options: object) -> CandidateFit:
    fit = CandidateFit(PARAMS, items, [], total=len(events), **options)  # type: ignore[arg-type]
    for number, event in enumerate(events):
        fit.learn(event, Position(0, number, number + 1))
    return fit
