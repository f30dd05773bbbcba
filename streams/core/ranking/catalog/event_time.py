"""Event times of items, in local time: users near enough to attend share the item's clock.

A local time is stored in ms as if it were UTC, so that times at one location compare without their zone.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from domain.timestamp import DAY_MS, epoch_ms, utc_time

STARTS = "starts"
"""The attribute of an item with its start: YYYY-MM-DD, or YYYY-MM-DDTHH:MM."""
_JOINED_MS = DAY_MS // 8
"""Time after its start within which an event is still worth going to; an event without an hour lasts all day."""
_DATE_CHARS = len("YYYY-MM-DD")
_EVENING_HOUR = 17
_WEEK_DAYS = 7
_LATEST_MS = 253_370_764_800_000
"""The beginning of the year 9999, after which the calendar has no room for every zone."""

TimeWindow = tuple[int, int]
"""First and last time at which an item is worth going to; (0, 0) for an item without an event time."""
ALWAYS: TimeWindow = (0, 0)


def validity_window(starts: str | None) -> TimeWindow:
    """Return the span of an item from its local start; `ALWAYS` for one that cannot be parsed.

    >>> validity_window("1970-01-02"), validity_window("1970-01-02T20:00"), validity_window("some day")
    ((86400000, 172800000), (158400000, 169200000), (0, 0))
    """
    try:
        begins = _ms(datetime.fromisoformat(starts)) if starts else 0
    except ValueError:
        return ALWAYS
    return (begins, begins + (DAY_MS if len(starts or "") == _DATE_CHARS else _JOINED_MS)) if begins else ALWAYS


def local_ms(at_ms: int, zone: ZoneInfo) -> int:
    """Return the local time at an instant, in ms as if it were UTC.

    Args:
        at_ms: The instant, in ms since the epoch.
        zone: The time zone.

    >>> local_ms(0, ZoneInfo("Asia/Tokyo")) // 3_600_000
    9
    """
    return _ms(datetime.fromtimestamp(min(at_ms, _LATEST_MS) / 1000, zone))


def recency_score(starts: NDArray[np.int64], now_ms: int) -> NDArray[np.float32]:
    """Return the proximity of start times: 1 for now, a half for a day from now, a third for two days.

    Args:
        starts: Local start times, in ms.
        now_ms: The local time, in ms.

    >>> recency_score(np.array([0, 1, 3]) * DAY_MS, now_ms=0).tolist()
    [1.0, 0.5, 0.25]
    """
    return (1.0 / (1.0 + np.maximum(starts - now_ms, 0) / DAY_MS)).astype(np.float32)


def format_relative_date(starts: int, now_ms: int) -> str:
    """Return a start time in colloquial words, such as `Tonight` or `This Friday`.

    Args:
        starts: The local start time, in ms.
        now_ms: The local time, in ms.

    >>> evening = 20 * 3_600_000
    >>> [format_relative_date(evening + days * DAY_MS, now_ms=0) for days in (0, 1, 3, 9)]  # 1970 began on a Thursday
    ['Tonight', 'Tomorrow', 'This Sunday', 'On 10 January']
    """
    begins = utc_time(starts)
    days = starts // DAY_MS - now_ms // DAY_MS
    if days <= 0:
        return "Tonight" if begins.hour >= _EVENING_HOUR else "Today"
    if days == 1:
        return "Tomorrow"
    return f"This {begins:%A}" if days < _WEEK_DAYS else f"On {begins.day} {begins:%B}"


def _ms(local: datetime) -> int:
    return epoch_ms(local.replace(tzinfo=UTC))
