"""Settings of prefetching: triggers by time and place, and fetches."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from infra.settings.setting import NOT_NEGATIVE, POSITIVE, Constraint, between, comma_separated, setting

_SLOT = re.compile(r"(daily|mon|tue|wed|thu|fri|sat|sun) +([01]\d|2[0-3]):[0-5]\d +[a-z0-9-]{1,64}")


def seconds_by_name(text: str) -> dict[str, float]:
    """Return the entries of `name=seconds,name=seconds`.

    Raises:
        ValueError: the text does not have this form.
    """
    pairs = [part.partition("=") for part in comma_separated(text)]
    return {name.strip(): float(seconds) for name, _, seconds in pairs}


def _are_seconds(text: str) -> bool:
    """Return whether a text has the form of `seconds_by_name`, with names and finite times above 0."""
    try:
        return all(name and 0 < seconds < math.inf for name, seconds in seconds_by_name(text).items())
    except ValueError:
        return False


@dataclass(frozen=True, kw_only=True)
class PrefetchSettings:
    """Triggers and prefetching."""

    trigger_schedule: str = setting(
        "fri 17:00 friday-evening, sat 09:00 saturday-morning",
        "times of prefetches in the user's local time: weekday or daily, HH:MM and the reason; or off",
        Constraint(
            lambda table: table == "off" or all(_SLOT.fullmatch(slot.strip()) for slot in table.split(",")),
            "like `fri 17:00 friday-evening, daily 07:30 morning`, or off",
        ),
    )
    trigger_inactive_days: float = setting(
        14.0, "days without an event after which a user gets no more scheduled prefetches and rankings", POSITIVE
    )
    trigger_rerank_hours: float = setting(
        24.0,
        "hours after a user's last event after which the feed is ranked again, and again every so many hours, until"
        " TRIGGER_INACTIVE_DAYS have passed; 0 for never",
        NOT_NEGATIVE,
    )
    trigger_window_s: float = setting(
        5.0, "seconds within which a user's triggers of the same kind are merged", NOT_NEGATIVE
    )
    geofence_rings: int = setting(
        2, "distance in H3 cells from the last location at which a new one counts at once", POSITIVE
    )
    geofence_dwell_s: float = setting(
        600.0, "seconds away from the last location after which a nearer cell counts as a new one, too", POSITIVE
    )
    geofence_city_km: float = setting(
        30.0, "minimum distance in km at which a new location counts as another city", POSITIVE
    )
    fetch_categories: str = setting(
        "places=21600,events=3600,music=1800,movies=1800,workshops=21600",
        "categories to prefetch, with the time in seconds for which an answer is cached",
        Constraint(_are_seconds, "category=seconds,category=seconds"),
    )
    fetch_deadline_s: float = setting(
        600.0,
        "deadline of a fetch in seconds; until then further triggers for the same content are merged with it",
        POSITIVE,
    )
    fetch_location_resolution: int = setting(
        5, "H3 resolution of the locations for which content is fetched and cached (5: about 250 km²)", between(0, 15)
    )
    prompt_fields: str = setting(
        "where,when,interests,keywords,liked,muted,demographics,travel_history,relationship_status",
        "fields about a user that prompts may contain, comma-separated; each prompt uses those that it needs",
    )
