"""How much an action says: one table for features, signals and models alike."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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
_NEUTRAL_RATING = 2.5
LIKING = 0.5


def weight_of(action: str, value: float | None) -> float:
    """Return the signed strength of an action.

    A rate on the usual scale of 5 gives -1 to 1 and 2 for ratings past it (scales of 10); other actions have a fixed
    weight, and a view that carries the share watched (0 to 1) grows to that of a click.
    """
    if action == "rate" and value is not None:
        return min((value - _NEUTRAL_RATING) / _NEUTRAL_RATING, 2.0)
    if action == "view" and value is not None and 0.0 <= value <= 1.0:
        return ACTION_WEIGHTS["view"] + (ACTION_WEIGHTS["click"] - ACTION_WEIGHTS["view"]) * value
    return ACTION_WEIGHTS.get(action, 0.0)


def is_liking(weight: float) -> bool:
    """Say whether an action of this strength says that the item was liked: a click, or 4 stars of 5."""
    return weight >= LIKING


def rating_of(action: str, value: float | None) -> float | None:
    """Return a rating on [0, 1], of 5 or, past that, of 10; None for what is no rating."""
    if action != "rate" or value is None:
        return None
    return value / 5.0 if value <= 5.0 else min(value / 10.0, 1.0)
