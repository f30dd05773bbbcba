"""Choice sets: the items of a feed with their features, among which its user chooses.

The weights of the blend are those of a conditional logit (McFadden 1974). A choice from the items that were shown tells
about them without the items that were not: the odds of two items do not depend on a third (McFadden 1978, estimation
with a subset of the alternatives).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.blend.blender import Context
from models.blend.feature_matrix import Column

Values = NDArray[np.float16]

T = TypeVar("T")

_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True)
class ChoiceSet:
    """The items of all orders of a feed, but for those that only fill it up."""

    items: Sequence[str]
    """Ids of the items."""
    values: Values
    """(features, items) values of the features, in half precision: thousands of sets are in memory."""
    contexts: Sequence[tuple[int, Context]]
    """The context of each order, with the time since the last event from which it is shown, in ms."""

    @classmethod
    def of(cls, items: Sequence[str], features: Column, contexts: Sequence[tuple[int, Context]]) -> ChoiceSet:
        """Return the set of some items.

        Args:
            items: Ids of the items.
            features: (features, items) values of the features; those that are not finite count as 0.
            contexts: The context of each order.
        """
        finite = np.nan_to_num(features, posinf=0.0, neginf=0.0).clip(-_LARGEST, _LARGEST)
        return cls(items, finite.astype(np.float16), contexts)

    def context(self, away_ms: int) -> Context:
        """Return the context of the order that is shown some time after the last event, in ms."""
        return shown_after(self.contexts, away_ms)


def shown_after(orders: Sequence[tuple[int, T]], away_ms: int) -> T:
    """Return that of a feed's orders which is shown some time after the last event.

    Args:
        orders: The orders, each with the time since the last event from which it is shown, in ms; the first with 0.
        away_ms: The time since the last event, in ms; before it, the first is shown.

    >>> shown_after([(0, "first"), (60_000, "later")], 59_999), shown_after([(0, "first"), (60_000, "later")], 60_000)
    ('first', 'later')
    """
    return next(order for from_ms, order in reversed(orders) if from_ms <= max(away_ms, 0))
