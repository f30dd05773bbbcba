"""Parameters of the cores, built from the settings where a worker is composed."""

from __future__ import annotations

from dataclasses import dataclass

from models import decay
from models.weight import RATING_SCALE
from streams.core.triggers.schedule import ScheduleEntry

_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class TriggerParams:
    """Parameters of triggers: the schedule, the geofence and the limits."""

    schedule: tuple[ScheduleEntry, ...] = ()
    timezone: str = "UTC"
    """Default for users who have not stated theirs."""
    inactive_ms: float = 14 * decay.DAY_MS
    """Time without an event after which a user is inactive and gets no scheduled triggers."""
    max_delay_ms: int = 3_600_000
    """Maximum delay of a trigger that is still published, as after an outage of a worker."""
    window_ms: int = 5_000
    """Window within which a second trigger of a kind is merged with the first."""
    rings: int = 2
    """Distance from the anchor, in cells, at which a ping moves it at once."""
    dwell_ms: int = 600_000
    """Time in cells next to the anchor after which it moves."""
    city_km: float = 30.0
    """Distance from which on a move is to another city."""


@dataclass(frozen=True, slots=True)
class UserParams:
    """Parameters of the fold of a user's state, and its bounds."""

    affinity_half_life_days: float = 30.0
    recent_items: int = 100
    seen_items: int = 1_000
    event_ids: int = 1_024
    """Number of event ids remembered regardless of age, for deduplication."""
    max_event_ids: int = 16_384
    """Maximum number of event ids remembered within a day."""
    queries: int = 10
    day_items: int = 1_000
    """Number of items that a user may count for within a day."""
    affinities: int = 200
    """Maximum number of entries in one affinity map; the weakest are evicted."""
    rating_scale: float = RATING_SCALE
    """The highest rating."""
    triggers: TriggerParams = TriggerParams()


@dataclass(frozen=True, slots=True)
class SignalParams:
    """Decay of item signals into trends and popularity."""

    trending_decay_rate: float = 0.95
    """Share of a signal's trend that remains after an hour."""
    popularity_half_life_days: float = 30.0

    @property
    def trending_rate(self) -> float:
        """Return the decay rate of trends, per ms."""
        return decay.rate_of_hourly(self.trending_decay_rate)

    @property
    def popularity_rate(self) -> float:
        """Return the decay rate of popularity, per ms."""
        return decay.rate_of_half_life(self.popularity_half_life_days)


EXACT_ITEMS = 20_000
"""Size of a catalog up to which it is scored whole."""


@dataclass(frozen=True, slots=True)
class RankParams:
    """Parameters of the ranking: candidates, filters and diversity."""

    feed_items: int = 50
    source_items: int = 150
    """Maximum number of candidates per source."""
    categories: int = 3
    """Number of a user's strongest categories whose popular items become candidates."""
    cold_start_threshold: int = 5
    """Number of events at which the demographic group has half its weight."""
    exact_items: int = EXACT_ITEMS
    """Size of a catalog above which only items named by the candidate sources are scored."""
    allows_repeats: bool = False
    """Whether items that a user has acted on are shown again, as places and pages are and films are not."""
    diversity_cap: float = 0.7
    """Largest share of one category in any window of a feed."""
    diversity_window: int = 10
    place_radius_km: float = 50.0
    """Maximum distance of items that have a location."""
    hides_sold_out: bool = True
    """Whether items that are out of stock are left out; otherwise they come last."""
    timezone: str = "UTC"
    """Default for users who have not stated theirs."""


@dataclass(frozen=True, slots=True)
class CombineParams:
    """Weights of the ranking and of the language model in a blended feed, and the lifetime of the latter's scores."""

    ml: float = 0.6
    llm: float = 0.4
    ttl_ms: int = 3_600_000


@dataclass(frozen=True, slots=True)
class PrefetchParams:
    """Parameters of prefetch requests: location granularity and prompt fields."""

    prompt_fields: frozenset[str]
    """Allowed prompt fields; see `streams.core.triggers.prefetch_request.PromptField`."""
    place_resolution: int = 5
    """H3 resolution of the locations that content is fetched for."""
    place_radius_km: float = 50.0
    """Maximum distance of the city that a prompt names."""
    timezone: str = "UTC"
    """Default for users who have not stated theirs."""


@dataclass(frozen=True, slots=True)
class PushParams:
    """Parameters of pushes: value threshold, frequency and delay."""

    value_threshold: float = 1.25
    """Minimum lead of an item, as a multiple of the user's baseline lead, unless the user sets another."""
    new_ms: int = 48 * _HOUR_MS
    """Age up to which an item is new."""
    daily_cap: int = 3
    hold_ms: int = 12 * _HOUR_MS
    """Longest wait of a push, for quiet hours to end or for a retry."""
    retry_s: float = 10.0
    """Pause before the second attempt; doubles with each further one."""
