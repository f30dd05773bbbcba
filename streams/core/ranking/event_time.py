"""When items take place. Whoever is near enough to go there shares its clock, so that all times here are local ones.

A local time is told in ms as if it were UTC, which makes times of one place comparable without their zone.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

STARTS = "starts"
"""The attribute of an item that tells when it begins: YYYY-MM-DD, or YYYY-MM-DDTHH:MM."""
_DAY_MS = 86_400_000
_JOINED_MS = _DAY_MS // 8
"""How long after it began something is still worth going to; on a day without an hour, all day."""
_DATE_CHARS = len("YYYY-MM-DD")
_EVENING_HOUR = 17
_WEEK_DAYS = 7
_LATEST_MS = 253_370_764_800_000
"""The beginning of the year 9999, after which a calendar has no room for every zone."""

Span = tuple[int, int]
"""From when to when something is worth going to; (0, 0) for what is there at any time."""
ALWAYS: Span = (0, 0)


def validity_window(starts: str | None) -> Span:
    """Return the span of what starts at a local time; what cannot be read is there at any time."""
    try:
        begins = _ms(datetime.fromisoformat(starts)) if starts else 0
    except ValueError:
        return ALWAYS
    return (begins, begins + (_DAY_MS if len(starts or "") == _DATE_CHARS else _JOINED_MS)) if begins else ALWAYS


def local_ms(at_ms: int, zone: ZoneInfo) -> int:
    """Return the local time at a moment."""
    return _ms(datetime.fromtimestamp(min(at_ms, _LATEST_MS) / 1000, zone))


def recency_score(starts: NDArray[np.int64], now_ms: int) -> NDArray[np.float32]:
    """Return how near times are: 1 for now, half of it for a day from now, a third for two."""
    return (1.0 / (1.0 + np.maximum(starts - now_ms, 0) / _DAY_MS)).astype(np.float32)


def format_relative_date(starts: int, now_ms: int) -> str:
    """Say when something takes place, as one says it to a friend."""
    begins = datetime.fromtimestamp(starts / 1000, UTC)
    days = starts // _DAY_MS - now_ms // _DAY_MS
    if days <= 0:
        return "Tonight" if begins.hour >= _EVENING_HOUR else "Today"
    if days == 1:
        return "Tomorrow"
    return f"This {begins:%A}" if days < _WEEK_DAYS else f"On {begins.day} {begins:%B}"


def _ms(local: datetime) -> int:
    return round(local.replace(tzinfo=UTC).timestamp() * 1000)
