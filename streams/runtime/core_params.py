"""Parameters of the cores, from the settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from infra.error import OperatorError
from infra.settings import Settings, comma_separated, factors_by_feature, repeats_by_category, seconds_by_name
from infra.settings.surface import parse_surfaces
from streams.core.params import (
    ExplorationParams,
    LlmBlendParams,
    OutcomeParams,
    PrefetchParams,
    PrivateStatsParams,
    PushParams,
    RankParams,
    RepeatRule,
    SignalParams,
    TriggerParams,
    UserParams,
)
from streams.core.shop.home_blend import HomeMix
from streams.core.triggers.prefetch_request import PromptField
from streams.core.triggers.schedule import parse
from streams.fetchers import FETCHERS, Fetcher

_DEVELOPMENT_KEY = b"millrace, for development only"


def user_params(settings: Settings) -> UserParams:
    """Return the parameters of the user fold."""
    return UserParams(
        affinity_half_life_days=settings.affinity_half_life_days,
        rating_scale=settings.rating_scale,
        triggers=TriggerParams(
            schedule=parse(settings.trigger_schedule),
            inactive_days=settings.trigger_inactive_days,
            rerank_hours=settings.trigger_rerank_hours,
            window_s=settings.trigger_window_s,
            geofence_rings=settings.geofence_rings,
            geofence_dwell_s=settings.geofence_dwell_s,
            geofence_city_km=settings.geofence_city_km,
            default_timezone=settings.default_timezone,
        ),
    )


def signal_params(settings: Settings) -> SignalParams:
    """Return the decay parameters of item signals."""
    return SignalParams(
        trending_decay_rate=settings.trending_decay_rate,
        popularity_half_life_days=settings.popularity_half_life_days,
    )


def private_stats_params(settings: Settings) -> PrivateStatsParams | None:
    """Return the guarantee of private statistics; None where statistics are exact.

    Raises:
        OperatorError: a day's statistics would exceed the privacy budget of the day, or there is no key for their
            noise outside development.
    """
    epsilon = settings.private_statistics_epsilon
    if not epsilon:
        return None
    if epsilon > settings.privacy_epsilon:
        raise OperatorError(
            f"Private statistics of a day need epsilon {epsilon:g}, and its budget is {settings.privacy_epsilon:g}.",
            "Lower PRIVATE_STATISTICS_EPSILON, or raise PRIVACY_EPSILON.",
        )
    if not settings.private_statistics_key and not settings.is_development:
        raise OperatorError(
            "There is no key for the noise of private statistics.",
            "Set PRIVATE_STATISTICS_KEY to a secret of 32 characters or more.",
        )
    return PrivateStatsParams(
        epsilon=epsilon,
        delta=settings.privacy_delta * epsilon / settings.privacy_epsilon,
        key=settings.private_statistics_key.encode() or _DEVELOPMENT_KEY,
    )


def rank_params(settings: Settings) -> RankParams:
    """Return the parameters of ranking."""
    return RankParams(
        max_recommendations=settings.max_recommendations,
        cold_start_threshold=settings.cold_start_threshold,
        allow_repeat_items=RepeatRule(*repeats_by_category(settings.allow_repeat_items)),
        hides_out_of_stock=settings.hides_out_of_stock,
        nearby_radius_km=settings.nearby_radius_km,
        diversity_cap=settings.diversity_cap,
        serendipity_weight=settings.serendipity_weight,
        feature_weight_factors=factors_by_feature(settings.feature_weight_factors),
        exploration=exploration_params(settings) if settings.explores else None,
        surfaces={name: surface.shows for name, surface in parse_surfaces(settings.surfaces).items()},
        default_timezone=settings.default_timezone,
    )


def exploration_params(settings: Settings) -> ExplorationParams:
    """Return the parameters of exploration, if the settings name a policy."""
    return ExplorationParams(
        policy=settings.exploration_policy,
        share=settings.exploration_share,
        after=settings.exploration_after,
        min_probability=settings.exploration_min_probability,
        days=settings.exploration_days,
        bandit_alpha=settings.bandit_alpha,
        bandit_beta=settings.bandit_beta,
        epsilon=settings.epsilon,
    )


def outcome_params(settings: Settings) -> OutcomeParams:
    """Return the window and the lateness of outcomes."""
    return OutcomeParams(
        window_s=settings.outcome_window_s,
        early_window_s=settings.outcome_early_window_s,
        lateness_s=settings.outcome_lateness_s,
        rating_scale=settings.rating_scale,
    )


def llm_blend_params(settings: Settings) -> LlmBlendParams:
    """Return the weights of the LLM scores in a feed, and their lifetime."""
    return LlmBlendParams(
        ml_score_weight=settings.ml_score_weight,
        llm_score_weight=settings.llm_score_weight,
        llm_scores_ttl_s=settings.llm_scores_ttl_s,
    )


def home_mix(settings: Settings) -> HomeMix:
    """Return the weights of the components of a shop's home page."""
    return HomeMix(
        clicked_weight=settings.shop_clicked_weight,
        searched_weight=settings.shop_searched_weight,
        diverse_weight=settings.shop_diverse_weight,
    )


def push_params(settings: Settings) -> PushParams:
    """Return the parameters of push notifications."""
    return PushParams(
        value_threshold=settings.push_value_threshold,
        item_max_age_hours=settings.push_item_max_age_hours,
        daily_cap=settings.push_daily_cap,
        max_delay_hours=settings.push_max_delay_hours,
    )


def prefetch_params(settings: Settings) -> PrefetchParams:
    """Return the parameters of fetch requests: prompt fields and location.

    Raises:
        OperatorError: the settings name an unknown prompt field.
    """
    prompt_fields = frozenset(comma_separated(settings.prompt_fields)) - {"none"}
    _check_names("PROMPT_FIELDS", prompt_fields, ("none", *get_args(PromptField)))
    return PrefetchParams(
        prompt_fields=prompt_fields,
        fetch_location_resolution=settings.fetch_location_resolution,
        nearby_radius_km=settings.nearby_radius_km,
        default_timezone=settings.default_timezone,
    )


def fetchers(settings: Settings) -> dict[str, Fetcher]:
    """Return the enabled fetchers by category.

    Raises:
        OperatorError: the settings name a category without a fetcher.
    """
    names = seconds_by_name(settings.fetch_categories)
    _check_names("FETCH_CATEGORIES", names, FETCHERS)
    return {name: FETCHERS[name] for name in names}


def _check_names(setting: str, names: Iterable[str], choices: Iterable[str]) -> None:
    unknown = sorted(set(names).difference(choices))
    if unknown:
        raise OperatorError(f"{setting} names {', '.join(unknown)}.", f"There are {', '.join(choices)}.")
