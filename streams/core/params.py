"""Parameters of the cores, built from the settings where a worker is composed.

A field that a setting provides has the setting's name, without the prefix that the class states, and no default: the
default is that of the setting. Fields with a default are bounds that no setting changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from domain.timestamp import DAY_MS, HOUR_MS
from models import decay
from streams.core.triggers.schedule import ScheduleEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerParams:
    """Parameters of triggers: the schedule, the geofence and the limits."""

    schedule: tuple[ScheduleEntry, ...]
    inactive_days: float
    """Time without an event after which a user is inactive and gets no scheduled triggers."""
    rerank_hours: float
    """Time after a user's last event after which the feed is ranked again, and again every so many hours; 0 for
    never."""
    window_s: float
    """Window within which a second trigger of a kind is merged with the first."""
    geofence_rings: int
    """Distance from the anchor, in cells, at which a ping moves it at once."""
    geofence_dwell_s: float
    """Time in cells next to the anchor after which it moves."""
    geofence_city_km: float
    """Distance from which on a move is to another city."""
    default_timezone: str
    """Time zone of users who have not stated theirs."""
    max_delay_ms: int = HOUR_MS
    """Maximum delay of a trigger that is still published, as after an outage of a worker."""

    @property
    def inactive_ms(self) -> float:
        """Return `inactive_days` in ms."""
        return self.inactive_days * DAY_MS

    @property
    def rerank_ms(self) -> int:
        """Return `rerank_hours` in ms."""
        return round(self.rerank_hours * HOUR_MS)

    @property
    def window_ms(self) -> int:
        """Return `window_s` in ms."""
        return round(self.window_s * 1_000)

    @property
    def geofence_dwell_ms(self) -> int:
        """Return `geofence_dwell_s` in ms."""
        return round(self.geofence_dwell_s * 1_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserParams:
    """Parameters of the fold of a user's state, and its bounds."""

    affinity_half_life_days: float
    rating_scale: float
    """The highest rating."""
    triggers: TriggerParams
    recent_items: int = 100
    seen_items: int = 1_000
    event_ids: int = 1_024
    """Number of event ids remembered regardless of age, for deduplication."""
    max_event_ids: int = 16_384
    """Maximum number of event ids remembered within a day."""
    queries: int = 10
    day_items: int = 1_000
    """Number of items that a user may count for within a day."""
    backdated_items: int = 256
    """Number of items of earlier days that are remembered while a history arrives."""
    affinities: int = 200
    """Maximum number of entries in one affinity map; the weakest are evicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalParams:
    """Decay of item signals into trends and popularity."""

    trending_decay_rate: float
    """Share of a signal's trend that remains after an hour."""
    popularity_half_life_days: float

    @property
    def trending_rate(self) -> float:
        """Return the decay rate of trends, per ms."""
        return decay.rate_of_hourly(self.trending_decay_rate)

    @property
    def popularity_rate(self) -> float:
        """Return the decay rate of popularity, per ms."""
        return decay.rate_of_half_life(self.popularity_half_life_days)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateStatsParams:
    """The guarantee of a day's private statistics, and the key of their noise."""

    epsilon: float
    delta: float
    key: bytes = field(repr=False)


EXACT_ITEMS = 20_000
"""Size of a catalog up to which it is scored whole."""


@dataclass(frozen=True, slots=True)
class RepeatRule:
    """Whether items that a user has acted on are shown again, as places and pages are and films are not."""

    by_category: Mapping[str, bool] = field(default_factory=dict)
    otherwise: bool | None = None
    """The same for all other categories; None where it is learned."""

    def allows(self, category: str, repeat_categories: Collection[str]) -> bool:
        """Return whether items of a category are shown again.

        Args:
            category: The category; empty for items without one.
            repeat_categories: The categories that people return to, as learned from the stream.
        """
        is_allowed = self.by_category.get(category, self.otherwise)
        return category in repeat_categories if is_allowed is None else is_allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplorationParams:
    """Parameters of exploration: the policy, and its bounds. The settings have the prefix `exploration_`."""

    policy: str
    """Name of the policy, one of `streams.core.ranking.stages.exploration.POLICIES`."""
    share: float
    """Maximum share of the places of every beginning of a feed that may go to new items."""
    after: int
    """Number of places at the beginning of a feed that never explore."""
    min_probability: float
    """Minimum probability that a user prefers a new item to the item whose place it takes."""
    days: float
    """Days for which an item is new."""
    bandit_alpha: float
    """Number of positive outcomes that the prior of an item is worth."""
    bandit_beta: float
    """Number of negative outcomes that the prior of an item is worth."""
    epsilon: float
    """Probability that epsilon-greedy gives a place to a random new item, whatever the evidence."""
    competitors: int = 6
    """Maximum number of new items that compete for a place."""

    @property
    def new_ms(self) -> float:
        """Return `days` in ms."""
        return self.days * DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeParams:
    """Parameters of outcomes, and bounds of what is held in memory. The settings have the prefix `outcome_`."""

    window_s: float
    """Time after an impression in which an action counts for it."""
    early_window_s: float
    """Time after an impression in which an action counts for its early outcome."""
    lateness_s: float
    """Time after an event within which its record must have been appended."""
    rating_scale: float
    """The highest rating."""
    max_user_events: int = 1_000
    """Shown items and actions of a user; more are left out."""
    max_events: int = 250_000
    """Shown items and actions of a partition; with more, the oldest outcomes close early."""

    @property
    def window_ms(self) -> int:
        """Return `window_s` in ms."""
        return round(self.window_s * 1_000)

    @property
    def early_window_ms(self) -> int:
        """Return the time in which an action counts for the early outcome in ms: that of the outcome at most."""
        return min(round(self.early_window_s * 1_000), self.window_ms)

    @property
    def lateness_ms(self) -> int:
        """Return `lateness_s` in ms."""
        return round(self.lateness_s * 1_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankParams:
    """Parameters of the ranking: candidates, filters, serendipity, diversity and exploration."""

    max_recommendations: int
    """Number of items in a feed."""
    cold_start_threshold: int
    """Number of events at which the demographic group has half its weight."""
    allow_repeat_items: RepeatRule
    hides_out_of_stock: bool
    """Whether items that are out of stock are left out; otherwise they come last."""
    nearby_radius_km: float
    """Maximum distance of items that have a location."""
    diversity_cap: float
    """Largest share of one category in any window of a feed."""
    serendipity_weight: float
    """Log-odds that an item gains in a feed if the user's history has none of its labels."""
    feature_weight_factors: Mapping[str, float]
    """Factors of the weights of ranking features, by name; those of all others are 1."""
    exploration: ExplorationParams | None
    """The exploration of new items; None for none."""
    surfaces: Mapping[str, Callable[[str], bool]]
    """Whether each surface shows items of a kind, by name."""
    default_timezone: str
    """Time zone of users who have not stated theirs."""
    diversity_window: int = 10
    source_items: int = 150
    """Maximum number of candidates per source."""
    categories: int = 3
    """Number of a user's strongest categories whose popular items become candidates."""
    exact_items: int = EXACT_ITEMS
    """Size of a catalog above which only items named by the candidate sources are scored."""

    def without_exploration(self) -> RankParams:
        """Return the same parameters for a list that explores nothing, such as one that many users share."""
        return replace(self, exploration=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmBlendParams:
    """Weights of the ranking and of the language model in a blended feed, and the lifetime of the latter's scores."""

    ml_score_weight: float
    llm_score_weight: float
    llm_scores_ttl_s: float

    @property
    def llm_scores_ttl_ms(self) -> int:
        """Return `llm_scores_ttl_s` in ms."""
        return round(self.llm_scores_ttl_s * 1_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefetchParams:
    """Parameters of prefetch requests: location granularity and prompt fields."""

    prompt_fields: frozenset[str]
    """Allowed prompt fields; see `streams.core.triggers.prefetch_request.PromptField`."""
    fetch_location_resolution: int
    """H3 resolution of the locations that content is fetched for."""
    nearby_radius_km: float
    """Maximum distance of the city that a prompt names."""
    default_timezone: str
    """Time zone of users who have not stated theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushParams:
    """Parameters of pushes: value threshold, frequency and delay."""

    value_threshold: float
    """Minimum lead of an item, as a multiple of the user's baseline lead, unless the user sets another."""
    item_max_age_hours: float
    """Age up to which an item is new."""
    daily_cap: int
    max_delay_hours: float
    """Longest wait of a push, for quiet hours to end or for a retry."""
    retry_s: float = 10.0
    """Pause before the second attempt; doubles with each further one."""

    @property
    def item_max_age_ms(self) -> int:
        """Return `item_max_age_hours` in ms."""
        return round(self.item_max_age_hours * HOUR_MS)

    @property
    def max_delay_ms(self) -> int:
        """Return `max_delay_hours` in ms."""
        return round(self.max_delay_hours * HOUR_MS)
