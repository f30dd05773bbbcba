"""Results of experiments: the figures of each arm, and the names of the metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

METRICS: Mapping[str, str] = {
    "click_through_rate": "items acted on positively, of the items shown",
    "conversion_rate": "users with a purchase, of all users",
    "dwell_ms": "time on an item shown, in ms",
    "skip_rate": "items skipped, of the items shown",
    "dislike_rate": "items disliked or hidden, of the items shown",
    "items_shown": "items shown to a user",
    "ndcg": "NDCG of a list with an action: gain of the items acted on, by their places, over that of the best order",
    "diversity": "categories of a list beyond the first, of its items beyond the first",
    "novelty": "bits of an item shown: -log2 of its share of all items shown in the experiment",
}
"""Metrics of arms, by name."""
NO_GUARDRAILS = "none"
MAX_SHADOW_LABELS = 20
"""Sources and categories that are named; the rest are one."""
OTHER_SHADOW_LABEL = "(other)"


class MetricFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of an arm. Figures without enough evidence are null."""

    value: float | None = None
    low: float | None = None
    """Always-valid 95 % interval of the value."""
    high: float | None = None
    lift: float | None = None
    """Relative difference from the control arm, less what the time before the experiment explains; 0.05 is 5 % more."""
    lift_low: float | None = None
    lift_high: float | None = None
    p_value: float | None = None
    """Always-valid p-value of the lift."""


class ShadowShares(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of a source or of a category among the first ten items, from 0 to 1."""

    label: str
    shown_share: float
    """Among the items shown."""
    shadow_share: float
    """Among the items of the shadow."""


class ShadowFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Means over the rankings that were compared; null without any. All but the rank-biased overlap see ten items."""

    rankings: int
    """Rankings that were compared."""
    overlap: float | None = msgspec.field(name="overlap@10", default=None)
    """Share of the items that both lists have."""
    rank_biased_overlap: float | None = None
    """Rank-biased overlap of the whole lists, with a persistence of 0.9."""
    first_place_changes: float | None = None
    """Share of the rankings whose first item is another one."""
    score_difference: float | None = None
    """Mean score of the shadow's items, less that of the items shown."""
    shown_ranking_ms: float | None = None
    """Duration of the rankings that were shown, in ms."""
    ranking_ms: float | None = None
    """Duration of the shadow's rankings, in ms."""
    sources: list[ShadowShares] = []
    """By source, the largest first."""
    categories: list[ShadowShares] = []
    """By category, the largest first."""


class ArmShadow(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of an arm of a shadow."""

    last_hour: ShadowFigures
    total: ShadowFigures
    """As far back as the archive keeps comparisons."""


class ArmFigures(msgspec.Struct, frozen=True, kw_only=True):
    """An arm of an experiment."""

    name: str
    share: float
    """Share of the users, by the definition."""
    users: int
    metrics: dict[str, MetricFigures]
    breaches: list[str] = []
    """Metrics whose guardrails the arm has breached."""
    shadow: ArmShadow | None = None
    """Comparisons with what was shown, of an arm of a shadow; it has no users and no metrics."""


class ExperimentResults(msgspec.Struct, frozen=True, kw_only=True):
    """The results of an experiment at a time. Times are in ms since the epoch."""

    experiment_id: str
    computed_at: int
    since: int
    """Time of the first outcome that counts."""
    control: str
    """The arm that the others are compared with: the first of the definition."""
    metric: str = ""
    """The metric that decides, by the definition."""
    arms: list[ArmFigures]
    users_of_several_arms: int
    """Users who were shown feeds of more than one arm, and count in none."""
    sample_ratio_p: float
    """Sequential p-value of the division of the users among the arms."""
    has_sample_ratio_mismatch: bool
    """Whether the users are not divided as defined, so that no other figure can be trusted."""


def guardrail_limits(text: str) -> dict[str, float]:
    """Return the limits of lifts by metric, from `METRIC:LIFT, METRIC:LIFT`.

    >>> guardrail_limits("click_through_rate:-0.2, skip_rate:0.5")
    {'click_through_rate': -0.2, 'skip_rate': 0.5}
    >>> guardrail_limits("none")
    {}

    Raises:
        ValueError: an entry has another form, an unknown metric, or a lift that is 0 or not above -1.
    """
    limits: dict[str, float] = {}
    for entry in (part.strip() for part in text.split(",") if text.strip() != NO_GUARDRAILS):
        name, _, number = entry.partition(":")
        limit = float(number)
        if name.strip() not in METRICS or not math.isfinite(limit) or limit == 0 or limit <= -1:
            raise ValueError(entry)
        limits[name.strip()] = limit
    return limits
