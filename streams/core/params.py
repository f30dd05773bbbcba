"""What the cores can be tuned by. Built from the settings where a worker is composed."""

from __future__ import annotations

from dataclasses import dataclass, field

from models import decay
from models.weight import RATING_SCALE
from streams.core.triggers.schedule import ScheduleEntry

_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class TriggerParams:
    """What triggers retrieval by itself, and what is too much of it."""

    schedule: tuple[ScheduleEntry, ...] = ()
    timezone: str = "UTC"
    """Of users who have not said theirs."""
    away_ms: float = 14 * decay.DAY_MS
    """Without an event for so long, a user is left alone."""
    late_ms: int = 3_600_000
    """How much later than it was due a trigger is still worth something, as after a worker was down."""
    window_ms: int = 5_000
    """Within which a second trigger of a kind is merged with the first."""
    rings: int = 2
    """Cells away from the last place that are a new one at once."""
    dwell_ms: int = 600_000
    """How long a user must be in cells next to it until they are one."""
    city_km: float = 30.0
    """From which distance on a new place is another city."""


@dataclass(frozen=True, slots=True)
class UserParams:
    """How a user's features are folded, and how much of them is kept."""

    affinity_half_life_days: float = 30.0
    recent_items: int = 100
    seen_items: int = 1_000
    event_ids: int = 1_024
    """Ids remembered, however old they are, to recognise an event that was published twice."""
    event_ids_most: int = 16_384
    """Most ids remembered of the last day."""
    queries: int = 10
    day_items: int = 1_000
    """Items that a user may count for within a day."""
    affinities: int = 200
    """Most entries of one affinity map; the weakest give way."""
    rating_scale: float = RATING_SCALE
    """The highest rating."""
    triggers: TriggerParams = TriggerParams()


@dataclass(frozen=True, slots=True)
class SignalParams:
    """How signals decay into trends."""

    trending_decay_rate: float = 0.95
    """What is left of a signal's trend after an hour."""
    popularity_half_life_days: float = 30.0
    trending_rate: float = field(init=False)
    """The trend's decay rate per ms."""
    popularity_rate: float = field(init=False)
    """Popularity's decay rate per ms."""

    def __post_init__(self) -> None:
        """Work the rates out once: every signal asks for them."""
        object.__setattr__(self, "trending_rate", decay.rate_of_hourly(self.trending_decay_rate))
        object.__setattr__(self, "popularity_rate", decay.rate_of_half_life(self.popularity_half_life_days))


EXACT_ITEMS = 20_000
"""Catalogues up to this size are scored whole."""


@dataclass(frozen=True, slots=True)
class RankParams:
    """How candidates are found, weighed and spread."""

    feed_items: int = 50
    source_items: int = 150
    """Candidates that each source may bring."""
    categories: int = 3
    """A user's strongest categories, of which the popular items become candidates."""
    cold_start_threshold: int = 5
    """Events at which the person's group has lost half its say."""
    exact_items: int = EXACT_ITEMS
    """Size of a catalogue past which only what the sources name is scored."""
    repeats: bool = False
    """Whether items that a person has acted on are shown again, as places and pages are and films are not."""
    diversity_cap: float = 0.7
    """Largest share of one category in any window of a feed."""
    diversity_window: int = 10
    place_radius_km: float = 50.0
    """How far away items may be that are tied to a place."""
    hides_sold_out: bool = True
    """Whether items that are out of stock are left out; otherwise they come last."""
    timezone: str = "UTC"
    """Of users who have not said theirs."""


@dataclass(frozen=True, slots=True)
class CombineParams:
    """How much a language model has to say in a feed, and for how long."""

    ml: float = 0.6
    llm: float = 0.4
    ttl_ms: int = 3_600_000


@dataclass(frozen=True, slots=True)
class RetrievalParams:
    """Where content is fetched for, and what the model is told of a user."""

    facts: frozenset[str]
    """What may be told; see `streams.core.triggers.prefetch_request.Fact`."""
    place_resolution: int = 5
    """H3 resolution of the places that content is fetched for."""
    place_radius_km: float = 50.0
    """How far away the city that is told may be."""
    timezone: str = "UTC"
    """Of users who have not said theirs."""


@dataclass(frozen=True, slots=True)
class PushParams:
    """What is worth a push, and how often and how late one may come."""

    value_threshold: float = 1.25
    """How far an item must stand out, in units of what usually leads, where the user does not say."""
    new_ms: int = 48 * _HOUR_MS
    """Age up to which an item is new."""
    daily_cap: int = 3
    hold_ms: int = 12 * _HOUR_MS
    """How long a push waits at most, for quiet hours to end or to be taken."""
    retry_s: float = 10.0
    """Pause before the second attempt; each further one is twice as long."""
