"""Time zones by their IANA names."""

from __future__ import annotations

from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

_UTC = ZoneInfo("UTC")


@lru_cache(maxsize=1_024)
def zone_named(name: str) -> ZoneInfo | None:
    """Return a time zone, None when there is none of that name; `localtime` would be the server's own and is none."""
    return ZoneInfo(name) if name in _names() else None


def zone_of(name: str, default: str) -> ZoneInfo:
    """Return the time zone that holds for who has said this one, or none."""
    return zone_named(name or default) or _UTC


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime"})
