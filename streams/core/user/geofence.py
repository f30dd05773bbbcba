"""Geofence with hysteresis: reports a user's move to another cell, and a walk along a border only once.

A user is anchored in a cell. The anchor moves when a ping is some rings away from it, or when all pings have been in
other cells for a while, but not within the merge window of triggers after its last move. Every return to the anchor
restarts the wait. Alternating between two cells is thus one location, and a move next door is reported.
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
    """A user's anchor. Times are in ms since the epoch, -1 for never."""

    anchor: str | None
    left_at: int
    """Time since which no ping was in the anchor."""
    moved_at: int
    """Time of the last move of the anchor."""


def crossing(state: GeofenceState, ping: Location, params: TriggerParams) -> str | None:
    """Fold a newer ping into a state, in place; return the reason if the anchor moved to it."""
    rings, km = _distance(state.anchor, ping.cell)
    if rings == 0:
        state.left_at = -1
        return None
    if state.left_at < 0:
        state.left_at = ping.occurred_at
    settled = rings >= params.geofence_rings or ping.occurred_at - state.left_at >= params.geofence_dwell_ms
    if not settled or (state.moved_at >= 0 and ping.occurred_at - state.moved_at < params.window_ms):
        return None
    state.anchor, state.left_at, state.moved_at = ping.cell, -1, ping.occurred_at
    return NEW_CITY if km >= params.geofence_city_km else NEW_AREA


def _distance(anchor: str | None, cell: str) -> tuple[float, float]:
    """Return the distance of a cell in rings and in km; infinite without an anchor."""
    if anchor is None:
        return math.inf, math.inf
    km = h3.great_circle_distance(h3.cell_to_latlng(anchor), h3.cell_to_latlng(cell))
    try:
        return h3.grid_distance(anchor, cell), km
    except h3.H3BaseException:  # too far to count, or of another resolution
        return math.inf, km
