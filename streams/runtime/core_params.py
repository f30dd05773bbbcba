"""Parameters of the cores, from the settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from infra.error import OperatorError
from infra.settings import Settings, seconds_by_name
from models.decay import DAY_MS, HOUR_MS
from streams.core.params import (
    CombineParams,
    PrefetchParams,
    PushParams,
    RankParams,
    SignalParams,
    TriggerParams,
    UserParams,
)
from streams.core.triggers.prefetch_request import PromptField
from streams.core.triggers.schedule import parse
from streams.fetchers import FETCHERS, Fetcher


def user_params(settings: Settings) -> UserParams:
    """Return the parameters of the user fold."""
    return UserParams(
        affinity_half_life_days=settings.affinity_half_life_days,
        rating_scale=settings.rating_scale,
        triggers=TriggerParams(
            schedule=parse(settings.trigger_schedule),
            timezone=settings.default_timezone,
            inactive_ms=settings.trigger_away_days * DAY_MS,
            window_ms=round(settings.trigger_window_s * 1000),
            rings=settings.trigger_rings,
            dwell_ms=round(settings.trigger_dwell_s * 1000),
            city_km=settings.trigger_city_km,
        ),
    )


def signal_params(settings: Settings) -> SignalParams:
    """Return the decay parameters of item signals."""
    return SignalParams(settings.trending_decay_rate, settings.popularity_half_life_days)


def rank_params(settings: Settings) -> RankParams:
    """Return the parameters of ranking."""
    return RankParams(
        feed_items=settings.max_recommendations,
        cold_start_threshold=settings.cold_start_threshold,
        diversity_cap=settings.diversity_cap,
        allows_repeats=settings.show_seen_items,
        place_radius_km=settings.place_radius_km,
        hides_sold_out=settings.hides_sold_out,
        timezone=settings.default_timezone,
    )


def combine_params(settings: Settings) -> CombineParams:
    """Return the weights of the LLM scores in a feed, and their lifetime."""
    return CombineParams(settings.ml_score_weight, settings.llm_score_weight, round(settings.llm_scores_ttl_s * 1_000))


def prefetch_params(settings: Settings) -> PrefetchParams:
    """Return the parameters of fetch requests: prompt fields and location.

    Raises:
        OperatorError: the settings name an unknown prompt field.
    """
    facts = {name for name in _names(settings.prompt_facts) if name != "none"}
    _check_names("PROMPT_FACTS", facts, ("none", *get_args(PromptField)))
    return PrefetchParams(
        prompt_fields=frozenset(facts),
        place_resolution=settings.place_resolution,
        place_radius_km=settings.place_radius_km,
        timezone=settings.default_timezone,
    )


def fetchers(settings: Settings) -> dict[str, Fetcher]:
    """Return the enabled fetchers by category.

    Raises:
        OperatorError: the settings name a category without a fetcher.
    """
    names = seconds_by_name(settings.fetch_categories)
    _check_names("FETCH_CATEGORIES", names, FETCHERS)
    return {name: FETCHERS[name] for name in names}


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _check_names(setting: str, names: Iterable[str], choices: Iterable[str]) -> None:
    unknown = sorted(set(names).difference(choices))
    if unknown:
        raise OperatorError(f"{setting} names {', '.join(unknown)}.", f"There are {', '.join(choices)}.")


def push_params(settings: Settings) -> PushParams:
    """Return the parameters of push notifications."""
    return PushParams(
        value_threshold=settings.push_value_threshold,
        new_ms=round(settings.push_new_hours * HOUR_MS),
        daily_cap=settings.push_daily_cap,
        hold_ms=round(settings.push_hold_hours * HOUR_MS),
    )
