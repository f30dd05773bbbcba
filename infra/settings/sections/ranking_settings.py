"""Settings of feeds: their size and lifetime, filters, decay and diversity."""

from __future__ import annotations

from dataclasses import dataclass

from domain.ranking_features import RANKING_FEATURES
from infra.settings.setting import (
    BOOLEANS,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    Constraint,
    between,
    comma_separated,
    one_of,
    setting,
)
from infra.settings.surface import ALL, parse_surfaces

HIDE = "hide"
NO_EXPLORATION = "none"
LEARNED = "auto"
_REPEATS: dict[str, bool | None] = {**BOOLEANS, LEARNED: None}


def repeats_by_category(text: str) -> tuple[dict[str, bool], bool | None]:
    """Return whether items are shown again by category, and the same for all other categories; None for learned.

    Raises:
        ValueError: the text is not a list of `category=true` and `category=false`, of which one entry may be `true`,
            `false` or `auto` for all other categories.

    >>> repeats_by_category("places=true, movies=no"), repeats_by_category("false, places=true")
    (({'places': True, 'movies': False}, None), ({'places': True}, False))
    """
    entries = [entry.rpartition("=") for entry in comma_separated(text)]
    try:
        by_category = {name.strip(): BOOLEANS[word.strip().lower()] for name, sign, word in entries if sign}
        others = [_REPEATS[word.lower()] for _, sign, word in entries if not sign]
    except KeyError as error:
        raise ValueError(f"{error.args[0]} is neither true nor false") from None
    if len(others) > 1 or not all(by_category):
        raise ValueError(f"{text!r} is no list of categories")
    return by_category, others[0] if others else None


def _are_repeats(text: str) -> bool:
    try:
        repeats_by_category(text)
    except ValueError:
        return False
    return True


def _are_surfaces(text: str) -> bool:
    try:
        parse_surfaces(text)
    except ValueError:
        return False
    return True


MAX_FACTOR = 10.0
"""Largest factor of the weight of a ranking feature."""


def factors_by_feature(text: str) -> dict[str, float]:
    """Return the factors of the weights of ranking features, by name.

    Raises:
        ValueError: the text is not a list of `feature=factor`, each of a ranking feature, from 0 to 10.

    >>> factors_by_feature("popular=0, fresh=1.5")
    {'popular': 0.0, 'fresh': 1.5}
    """
    factors: dict[str, float] = {}
    for entry in comma_separated(text):
        name, _, factor = (part.strip() for part in entry.partition("="))
        if name not in RANKING_FEATURES:
            raise ValueError(f"{name!r} is no ranking feature")
        factors[name] = float(factor)
        if not 0 <= factors[name] <= MAX_FACTOR:
            raise ValueError(f"{factor} is not from 0 to {MAX_FACTOR:g}")
    return factors


def _are_factors(text: str) -> bool:
    try:
        factors_by_feature(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class RankingSettings:
    """Feeds and ranking."""

    max_recommendations: int = setting(50, "number of items in a feed", POSITIVE)
    surfaces: str = setting(
        "content=*,video=video,shop=product",
        "feeds of their own for kinds of items, by name; kinds are separated by |, and * stands for all others",
        Constraint(_are_surfaces, "surfaces with kinds, as in content=*,shop=product|bundle"),
    )
    default_surface: str = setting(
        "content", f"surface of GET /content, unless the request names one; {ALL} shows all kinds"
    )
    feed_ttl_days: float = setting(30.0, "days after which a feed without updates expires; 0: never", NOT_NEGATIVE)
    feed_history_days: float = setting(
        30.0, "days for which the archive keeps every feed, and up to a month longer; 0: none is kept", NOT_NEGATIVE
    )
    impression_history_days: float = setting(
        90.0,
        "days for which the archive keeps impressions, their outcomes and comparisons with shadows, and up to a month"
        " longer; 0: none is kept",
        NOT_NEGATIVE,
    )
    allow_repeat_items: str = setting(
        LEARNED,
        "whether to recommend items again after an interaction (useful for restaurants, not for films): true, false, "
        "auto to learn it by category, or by category as in places=true,movies=false",
        Constraint(_are_repeats, "auto, true, false or categories as in places=true,movies=false"),
    )
    out_of_stock: str = setting(
        HIDE, "treatment of items that are out of stock: hide them, or rank them last", one_of(HIDE, "last")
    )
    nearby_radius_km: float = setting(
        50.0, "maximum distance in km between a user and items tied to a location", POSITIVE
    )
    cold_start_threshold: int = setting(
        5,
        "interactions after which the video engine's feed is personal and the user's group has half its weight",
        NOT_NEGATIVE,
    )
    trending_decay_rate: float = setting(0.95, "share of an item's trend that remains after an hour", SHARE)
    popularity_half_life_days: float = setting(30.0, "half-life of popularity in days", POSITIVE)
    affinity_half_life_days: float = setting(30.0, "half-life of a user's affinities in days", POSITIVE)
    cooccurrence_half_life_days: float = setting(60.0, "half-life of item-to-item co-occurrence in days", POSITIVE)
    diversity_cap: float = setting(0.7, "maximum share of one category in any ten consecutive items of a feed", SHARE)
    serendipity_weight: float = setting(
        0.2,
        "log-odds that an item gains in a feed if the user's history has none of its labels, 0 if it has all of them",
        NOT_NEGATIVE,
    )
    feature_weight_factors: str = setting(
        "",
        "factors of the learned weights of ranking features, as in popular=0,fresh=1.5; all others have the factor 1",
        Constraint(_are_factors, "features of docs/models.md with factors from 0 to 10, as in popular=0,fresh=1.5"),
    )
    exploration_policy: str = setting(
        NO_EXPLORATION,
        "policy that gives places of a feed to new items: none, thompson (sampling), ucb, or epsilon-greedy",
        one_of(NO_EXPLORATION, "thompson", "ucb", "epsilon-greedy"),
    )
    exploration_share: float = setting(
        0.1, "maximum share of a feed's places, counted from its beginning, that may go to new items", SHARE
    )
    exploration_after: int = setting(3, "number of places at the beginning of a feed that never explore", NOT_NEGATIVE)
    exploration_min_probability: float = setting(
        0.05,
        "minimum probability, by the learned weights, that a user prefers a new item to the item whose place it takes",
        between(0, 1),
    )
    exploration_days: float = setting(30.0, "days for which an item counts as new, and may be explored", POSITIVE)
    bandit_alpha: float = setting(
        1.0, "number of positive outcomes that the prior of an item is worth, for thompson and ucb", POSITIVE
    )
    bandit_beta: float = setting(
        1.0, "number of negative outcomes that the prior of an item is worth, for thompson and ucb", POSITIVE
    )
    epsilon: float = setting(
        0.1, "probability that epsilon-greedy gives a place that may explore to a random new item", between(0, 1)
    )
    shadow_share: float = setting(
        0.05,
        "maximum share of rankings that workers repeat under an arm of a shadow experiment, to compare the lists",
        between(0, 1),
    )
    diversity_threshold: float = setting(
        0.3, "default of the minimum share of topics in which the results of POST /personalize differ", between(0, 1)
    )
    similarity_threshold: float = setting(0.3, "minimum similarity for items to be called similar", between(0, 1))

    @property
    def explores(self) -> bool:
        """Say whether feeds explore new items."""
        return self.exploration_policy != NO_EXPLORATION

    @property
    def hides_out_of_stock(self) -> bool:
        """Say whether to exclude items that are out of stock."""
        return self.out_of_stock == HIDE
