"""Time zones by IANA name."""

from __future__ import annotations

from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

_UTC = ZoneInfo("UTC")


@lru_cache(maxsize=1_024)
def zone_named(name: str) -> ZoneInfo | None:
    """Return a time zone, None for an unknown name; `localtime`, the server's own zone, counts as unknown."""
    return ZoneInfo(name) if name in _names() else None


def zone_of(name: str, default: str) -> ZoneInfo:
    """Return the named time zone, the default for an empty name, and UTC where that is unknown."""
    return zone_named(name or default) or _UTC


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime"})
