"""Repeats by category: the rate at which users go back to items, and the categories that repeat.

A visit is a click, a purchase, or a view of most of an item; opinions such as a rating are none. A visit is a return if
the user has chosen its item before, and another one since. The rate of a category is a running mean over visits, which
starts from a prior of no returns, and only the first visits of a user's day count: a category repeats on evidence of
several users. It begins to repeat at one rate and ceases at half of it, so that feeds do not change back and forth.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from models.weight import is_positive, weight_of
from schemas.types import Interaction
from streams.core.user.day_limits import day_events
from streams.core.user.user_state import UserState

_PRIOR_VISITS = 500.0
"""Visits without a return that a rate starts from."""
_MEAN_VISITS = 5_000.0
"""Visits in the running mean."""
_DAY_EVENTS = 10
"""Events of a user's day that count. Twice as many returns make a new category repeat."""
_BEGINS, _CEASES = 0.04, 0.02
"""Rates of returns at which a category begins to repeat, and below which it ceases to."""
_MAX_CATEGORIES = 1_000
"""Number of categories with a rate, those with the most visits; others do not repeat."""
_VISITS = frozenset({"view", "click", "purchase"})


class RepeatRates:
    """Rates of returns, and the categories that repeat.

    >>> rates = RepeatRates()
    >>> for visit in range(200):
    ...     rates.add("places", is_return=visit % 2 == 1)
    ...     rates.add("movies", is_return=False)
    >>> sorted(rates.categories)
    ['places']
    """

    def __init__(self) -> None:
        self.visits: dict[str, float] = {}
        """Number of visits behind the rate of each category."""
        self.rates: dict[str, float] = {}
        """Share of returns among the visits of each category."""
        self.categories: frozenset[str] = frozenset()
        """The categories whose items are shown again."""

    def add(self, category: str, *, is_return: bool) -> None:
        """Count a visit.

        Args:
            category: The category of the item; empty for none.
            is_return: Whether the user returns to the item.
        """
        visits = min(self.visits.get(category, _PRIOR_VISITS) + 1.0, _MEAN_VISITS)
        rate = self.rates.get(category, 0.0)
        self.visits[category], self.rates[category] = visits, rate + (is_return - rate) / visits
        if len(self.visits) > _MAX_CATEGORIES:
            self._drop(min(self.visits, key=lambda name: (name == category, self.visits[name], name)))
        self._set(category, repeats=self.rates[category] >= self._bound(category))

    def restore(self, categories: Collection[str], *, rates: Mapping[str, float], visits: Mapping[str, float]) -> None:
        """Continue from a published version.

        Args:
            categories: The categories that repeat.
            rates: Share of returns by category; none of a version that did not publish any.
            visits: Number of visits behind each share.
        """
        if rates:
            self.rates, self.visits = dict(rates), {category: visits.get(category, _PRIOR_VISITS) for category in rates}
        self.categories = frozenset(categories)
        for category in self.rates:
            self._set(category, repeats=self.rates[category] >= self._bound(category))

    def _bound(self, category: str) -> float:
        return _CEASES if category in self.categories else _BEGINS

    def _set(self, category: str, *, repeats: bool) -> None:
        if repeats != (category in self.categories):
            self.categories ^= {category}

    def _drop(self, category: str) -> None:
        del self.visits[category], self.rates[category]
        self._set(category, repeats=False)


def returns(state: UserState, event: Interaction) -> bool | None:
    """Return whether a visit is a return; None for an interaction that does not count as a visit.

    Args:
        state: The state of the user before the interaction.
        event: The interaction.
    """
    is_visit = event.action in _VISITS and is_positive(weight_of(event.action, event.value))
    if not is_visit or day_events(state, event.occurred_at) >= _DAY_EVENTS:
        return None
    liked_items = [item for item, weight, _ in state.recent if is_positive(weight)]
    return event.item_id in liked_items and liked_items[-1] != event.item_id
