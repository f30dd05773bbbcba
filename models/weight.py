"""Weights of actions: one table for features, item signals and models alike."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from schemas.event_context import context_rating
from schemas.limit import RATING_SCALE
from schemas.types import Interaction

ACTION_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "unknown": 0.0,
        "view": 0.3,
        "click": 1.0,
        "like": 2.0,
        "inspired": 2.0,
        "save": 2.5,
        "share": 3.0,
        "purchase": 5.0,
        "skip": -0.3,
        "dislike": -2.0,
        "hide": -3.0,
        "search": 0.0,
    }
)
POSITIVE_ACTIONS = tuple(action for action, weight in ACTION_WEIGHTS.items() if weight > 0)
NEGATIVE_ACTIONS = tuple(action for action, weight in ACTION_WEIGHTS.items() if weight < 0)
POSITIVE_THRESHOLD = 0.5


def signed_counts(counts: Mapping[str, int]) -> tuple[int, int]:
    """Return the numbers of positive and of negative actions, without ratings.

    Args:
        counts: Numbers of actions, by action.

    >>> signed_counts({"click": 2, "view": 1, "skip": 4, "rate": 8})
    (3, 4)
    """
    positive = sum(counts.get(action, 0) for action in POSITIVE_ACTIONS)
    return positive, sum(counts.get(action, 0) for action in NEGATIVE_ACTIONS)


def weight_of(action: str, value: float | None, scale: float = RATING_SCALE) -> float:
    """Return the signed weight of an action.

    A rate maps ratings from 0 to `scale` to [-1, 1]; other actions have a fixed weight. The weight of a view with a
    watched share grows from that of a view to that of a click.

    Args:
        action: The action, such as click.
        value: Rating of a rate, or watched share of a view, from 0 to 1.
        scale: The highest rating.

    >>> weight_of("click", None), weight_of("rate", 4.0), weight_of("rate", 1.0)
    (1.0, 0.6, -0.6)
    """
    if action == "rate" and value is not None:
        neutral = scale / 2
        return max(-1.0, min((value - neutral) / neutral, 1.0))
    if action == "view" and value is not None and 0.0 <= value <= 1.0:
        return ACTION_WEIGHTS["view"] + (ACTION_WEIGHTS["click"] - ACTION_WEIGHTS["view"]) * value
    return ACTION_WEIGHTS.get(action, 0.0)


def event_weight(event: Interaction, scale: float = RATING_SCALE) -> float:
    """Return the signed weight of an interaction.

    A rating that comes with another action than a rate multiplies its weight, which is then at least that of a click:
    a click with the highest rating counts in full, one with the lowest rating speaks against the item.

    Args:
        event: The interaction.
        scale: The highest rating.

    >>> from msgspec.structs import replace
    >>> click = Interaction(event_id="e", user_id="u", item_id="i", action="click", occurred_at=0)
    >>> event_weight(click), event_weight(replace(click, context={"rating": "1"}))
    (1.0, -0.6)
    """
    weight, rating = weight_of(event.action, event.value, scale), context_rating(event)
    return weight if rating is None else max(weight, ACTION_WEIGHTS["click"]) * weight_of("rate", rating, scale)


def is_on_scale(event: Interaction, scale: float) -> bool:
    """Return whether the rating of an interaction is within its scale; true for one without a rating.

    Args:
        event: The interaction.
        scale: The highest rating.
    """
    rating = event.value if event.action == "rate" else context_rating(event)
    return rating is None or 0.0 <= rating <= scale


def is_positive(weight: float) -> bool:
    """Return whether an action of this weight is positive feedback: a click, 4 of 5 stars, or 8 of 10.

    >>> is_positive(weight_of("rate", 8.0, scale=10.0)), is_positive(weight_of("view", None))
    (True, False)
    """
    return weight >= POSITIVE_THRESHOLD


def event_rating(event: Interaction, scale: float = RATING_SCALE) -> float | None:
    """Return the rating of an interaction as a share of its scale, on [0, 1]; None for one without a rating.

    Args:
        event: The interaction.
        scale: The highest rating.

    >>> from msgspec.structs import replace
    >>> rate = Interaction(event_id="e", user_id="u", item_id="i", action="rate", value=4.0, occurred_at=0)
    >>> event_rating(rate), event_rating(rate, scale=10.0), event_rating(replace(rate, action="view"))
    (0.8, 0.4, None)
    """
    rating = event.value if event.action == "rate" else context_rating(event)
    return None if rating is None else max(0.0, min(rating / scale, 1.0))
