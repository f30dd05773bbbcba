"""When the next full fit is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra.redis.stores.model_status import NOT_JUDGED, Version

FIRST_S = 60.0
"""How soon after its start a trainer that finds no version fits the first one."""
FIRST_EVENTS = 1_000
"""Events without which a first fit has nothing to say, and after one that could not be judged neither has the next."""


@dataclass(frozen=True, slots=True)
class DueFit:
    """A fit to come."""

    at_ms: int
    full: bool
    """Whether it weighs all events, not the newest alone."""


@dataclass(frozen=True, slots=True)
class FitSchedule:
    """Times between fits; 0 for never."""

    interval_s: float
    full_interval_s: float

    def next(self, versions: Sequence[Version], *, events: int, started_at: int) -> DueFit | None:
        """Return the fit to come; None while nothing is new, or when fits are made only when asked.

        Args:
            versions: What was fitted so far, newest first, refused ones too.
            events: Events learned from by now.
            started_at: When the trainer started, in ms since the epoch.
        """
        if not (self.interval_s or self.full_interval_s):
            return None
        if all(version.status == NOT_JUDGED for version in versions):
            at_ms, last_events = (versions[0].created_at, versions[0].events) if versions else (started_at, 0)
            return DueFit(at_ms + _ms(FIRST_S), full=True) if events - last_events >= FIRST_EVENTS else None
        if events == versions[0].events:
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
