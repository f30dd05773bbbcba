"""What the cores are tuned by, from the settings."""

from __future__ import annotations

from infra.settings import Settings
from streams.core.learner import Params
from streams.core.params import RankParams, SignalParams, UserParams


def user_params(settings: Settings) -> UserParams:
    """Return how users are folded."""
    return UserParams(affinity_half_life_days=settings.affinity_half_life_days)


def signal_params(settings: Settings) -> SignalParams:
    """Return how signals decay."""
    return SignalParams(settings.trending_decay_rate, settings.popularity_half_life_days)


def rank_params(settings: Settings) -> RankParams:
    """Return how feeds are ranked."""
    return RankParams(
        feed_items=settings.max_recommendations,
        cold_start_threshold=settings.cold_start_threshold,
        diversity_cap=settings.diversity_cap,
        repeats=settings.show_seen_items,
    )


def learner_params(settings: Settings) -> Params:
    """Return how the trainer learns: as the agents fold and rank."""
    return Params(
        user_params(settings),
        signal_params(settings),
        rank_params(settings),
        half_life_days=settings.cooccurrence_half_life_days,
    )
