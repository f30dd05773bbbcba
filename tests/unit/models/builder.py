"""A world whose right answer is known: even items go with even ones, odd with odd."""

from __future__ import annotations

import numpy as np

from domain.timestamp import HOUR_MS
from models.base import ModelEvent

T0_MS = 1_700_000_000_000

ITEMS = 12


def checkerboard(users: int = 60) -> list[ModelEvent]:
    """Return events of users who each act on items of one parity only."""
    draw = np.random.default_rng(0)
    return [
        ModelEvent(f"u{user}", f"i{2 * item + user % 2}", T0_MS + user * HOUR_MS + place, 1.0)
        for user in range(users)
        for place, item in enumerate(draw.permutation(ITEMS // 2)[:4])
    ]
