"""Settings of events: the values that are accepted, and their defaults."""

from __future__ import annotations

from dataclasses import dataclass

from domain.zone import zone_named
from infra.settings.setting import POSITIVE, Constraint, between, setting
from schemas.limit import RATING_MAX, RATING_SCALE


@dataclass(frozen=True, kw_only=True)
class EventSettings:
    """Events."""

    rating_scale: float = setting(
        RATING_SCALE,
        "maximum rating; higher ones are refused",
        Constraint(lambda scale: 0 < scale <= RATING_MAX, f"above 0 and at most {RATING_MAX:g}"),
    )
    event_max_age_days: float = setting(
        3_650.0, "maximum age of an event in days; the API refuses older ones", POSITIVE
    )
    outcome_window_s: float = setting(3_600.0, "seconds after an impression in which an action counts for it", POSITIVE)
    outcome_early_window_s: float = setting(
        15.0,
        "seconds after an impression in which an action counts for the guardrails of experiments",
        POSITIVE,
    )
    outcome_lateness_s: float = setting(
        3_600.0, "seconds after an impression or action within which it must arrive to count for an outcome", POSITIVE
    )
    impression_log_share: float = setting(
        0.0,
        "share of the feeds that GET /content serves that the API logs as impressions, for clients that report none",
        between(0, 1),
    )
    location_resolution: int = setting(
        7, "H3 resolution to which location pings are coarsened (7: about 5 km²)", between(0, 15)
    )
    default_timezone: str = setting(
        "UTC",
        "time zone of users without one in their profile",
        Constraint(lambda name: zone_named(name) is not None, "the IANA name of a time zone"),
    )
