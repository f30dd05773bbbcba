"""What the cores can be tuned by. Built from the settings where a worker is composed."""

from __future__ import annotations

from dataclasses import dataclass

from models import decay


@dataclass(frozen=True, slots=True)
class UserParams:
    """How a user's features are folded, and how much of them is kept."""

    affinity_half_life_days: float = 30.0
    recent_items: int = 100
    seen_items: int = 1_000
    event_ids: int = 1_024
    """Ids remembered to recognise an event that was published twice."""
    queries: int = 10
    affinities: int = 200
    """Most entries of one affinity map; the weakest give way."""


@dataclass(frozen=True, slots=True)
class SignalParams:
    """How signals decay into trends."""

    trending_decay_rate: float = 0.95
    """What is left of a signal's trend after an hour."""
    popularity_half_life_days: float = 30.0

    @property
    def trending_rate(self) -> float:
        """Return the trend's decay rate per ms."""
        return decay.rate_of_hourly(self.trending_decay_rate)

    @property
    def popularity_rate(self) -> float:
        """Return popularity's decay rate per ms."""
        return decay.rate_of_half_life(self.popularity_half_life_days)


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
    exact_items: int = 20_000
    """Catalogues up to this size are scored whole."""
    repeats: bool = False
    """Whether items that a person has acted on are shown again, as places and pages are and films are not."""
    diversity_cap: float = 0.7
    """Largest share of one category in any window of a feed."""
    diversity_window: int = 10
