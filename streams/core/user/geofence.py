"""When a move is worth telling: another cell, with hysteresis, so that a walk along a border is told once.

A user is anchored in a cell. The anchor moves when a ping is some rings away from it, or when all pings have been in
other cells for a while, and not sooner after its last move than triggers of a kind are merged. Every return to the
anchor starts the wait anew. So two cells taken in turns are one place, and whoever has moved next door is told of.
"""

from __future__ import annotations

import math
from typing import Protocol

import h3

from schemas.types import Location
from streams.core.params import TriggerParams

NEW_AREA = "new-area"
NEW_CITY = "new-city"


class GeofenceState(Protocol):
    """What is kept of where a user is anchored. Times are in ms since the epoch, -1 for never."""

    anchor: str | None
    left_at: int
    """Since when no ping was in the anchor."""
    moved_at: int
    """When the anchor was last moved."""


def crossing(state: GeofenceState, ping: Location, params: TriggerParams) -> str | None:
    """Take in a newer ping; return the reason when the anchor moved to it."""
    rings, km = _distance(state.anchor, ping.cell)
    if rings == 0:
        state.left_at = -1
        return None
    if state.left_at < 0:
        state.left_at = ping.occurred_at
    settled = rings >= params.rings or ping.occurred_at - state.left_at >= params.dwell_ms
    if not settled or (state.moved_at >= 0 and ping.occurred_at - state.moved_at < params.window_ms):
        return None
    state.anchor, state.left_at, state.moved_at = ping.cell, -1, ping.occurred_at
    return NEW_CITY if km >= params.city_km else NEW_AREA


def _distance(anchor: str | None, cell: str) -> tuple[float, float]:
    """Return how far a cell is, in rings and in km; no anchor is as far as can be."""
    if anchor is None:
        return math.inf, math.inf
    km = h3.great_circle_distance(h3.cell_to_latlng(anchor), h3.cell_to_latlng(cell))
    try:
        return h3.grid_distance(anchor, cell), km
    except h3.H3BaseException:  # too far to be counted, or of another resolution
        return math.inf, km
