"""Times in ms since the epoch: their units, and their conversion from and to calendar times."""

from __future__ import annotations

from datetime import UTC, datetime

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
DAY_S = DAY_MS // 1_000


def epoch_ms(moment: datetime) -> int:
    """Return a calendar time in ms since the epoch; one without a time zone is taken as UTC.

    >>> epoch_ms(datetime(1970, 1, 2, 0, 0, 1))
    86401000

    Raises:
        OverflowError: the time is outside the years 1 to 9999 in UTC.
    """
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)


def utc_time(at_ms: int) -> datetime:
    """Return the calendar time in UTC of a time in ms since the epoch.

    Raises:
        ValueError, OverflowError, OSError: the calendar has no room for the time.
    """
    return datetime.fromtimestamp(at_ms / 1_000, UTC)


def iso_time(at_ms: int) -> str:
    """Return a time in ms since the epoch as ISO 8601 in UTC, with ms.

    >>> iso_time(1_700_000_000_123)
    '2023-11-14T22:13:20.123Z'
    """
    return utc_time(at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def version_name(at_ms: int) -> str:
    """Return the name of a version created at a time, in ms since the epoch; later names sort later.

    >>> version_name(1_700_000_000_123)
    '20231114T221320.123Z'
    """
    return utc_time(at_ms).strftime("%Y%m%dT%H%M%S.") + f"{at_ms % 1000:03}Z"
