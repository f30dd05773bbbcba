"""Schedule of full fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra.redis.stores.model_status import NOT_JUDGED, Version

FIRST_S = 300.0
"""Time from the start of a trainer without any version to its first fit.

Online learning comes first, and feeds are steady meanwhile.
"""
FIRST_EVENTS = 1_000
"""New events required for the first fit, and for the next one after a fit that was not judged."""


@dataclass(frozen=True, slots=True)
class DueFit:
    """The next fit."""

    at_ms: int
    full: bool
    """Whether the blender learns from all events, not from the newest alone."""


@dataclass(frozen=True, slots=True)
class FitSchedule:
    """Times between fits in seconds; 0 for never."""

    interval_s: float
    full_interval_s: float

    def next(self, versions: Sequence[Version], *, new_events: int, started_at: int) -> DueFit | None:
        """Return the next fit; None without new events, or when fits run on request only.

        Args:
            versions: The versions so far, newest first, including refused ones.
            new_events: Number of interactions since the newest of them, or in all.
            started_at: Start of the trainer, in ms since the epoch.
        """
        if not (self.interval_s or self.full_interval_s):
            return None
        if all(version.status == NOT_JUDGED for version in versions):
            at_ms = versions[0].created_at if versions else started_at
            return DueFit(at_ms + _ms(FIRST_S), full=True) if new_events >= FIRST_EVENTS else None
        if not new_events:
            return None
        full_at = next((version.created_at for version in versions if version.full), 0)
        dues = [
            DueFit(at_ms + _ms(seconds), full=full)
            for at_ms, seconds, full in (
                (full_at, self.full_interval_s, True),
                (versions[0].created_at, self.interval_s, False),
            )
            if seconds
        ]
        return min(dues, key=lambda due: (due.at_ms, not due.full))


def _ms(seconds: float) -> int:
    return round(1_000 * seconds)
