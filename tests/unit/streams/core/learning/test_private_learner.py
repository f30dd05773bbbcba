"""The learner where statistics are private: it ranks by those of the beginning of the day."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from domain.timestamp import DAY_MS
from infra.settings import Settings
from streams.core.learning.learner import Learner
from streams.core.position import Position
from streams.core.ranking.catalog.item_columns import HORIZONS
from streams.roles.trainer.learner_params import learner_params
from tests.build import T0_MS, an_interaction, an_item

DAY_BEGINS_MS = T0_MS // DAY_MS * DAY_MS + DAY_MS
USERS = 400


def test_statistics_change_with_the_day_and_only_then() -> None:
    learner = Learner(learner_params(replace(Settings(), private_statistics_epsilon=1.0)))
    for item in ("hit", "flop"):
        learner.catalog.apply_item(an_item(item))
    learn(learner, range(USERS), at_ms=DAY_BEGINS_MS)
    first = learner.catalog.horizon_logs.copy()
    assert learner.catalog.watermark == DAY_BEGINS_MS
    learn(learner, range(USERS, USERS + 1), at_ms=DAY_BEGINS_MS + DAY_MS - 1)
    assert (learner.catalog.horizon_logs == first).all(), "an event of the day changes nothing"

    learn(learner, range(USERS + 1, USERS + 2), at_ms=DAY_BEGINS_MS + DAY_MS)
    lasting = learner.catalog.horizon_logs[HORIZONS.index("lasting")]
    hit, flop = np.exp(lasting[learner.catalog.items.encode(["hit", "flop"])]).tolist()
    assert abs(hit - USERS) < USERS / 2
    assert flop < USERS / 2


def learn(learner: Learner, users: range, *, at_ms: int) -> None:
    """Have users choose the hit."""
    for user in users:
        event = an_interaction(user_id=f"u{user}", item_id="hit", event_id=f"e{user}", occurred_at=at_ms)
        learner.learn(event, Position(0, user, user + 1), learn_weights=False)
