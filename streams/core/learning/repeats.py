"""Repeats by category: the rate at which users go back to items, and the categories that repeat.

A visit is a click, a purchase, or a view of most of an item; opinions such as a rating are none. A visit is a return if
the user has chosen its item before, and another one since. The rate of a category is a running mean over visits, which
starts from a prior of no returns, and only the first visits of a user's day count: a category repeats on evidence of
several users. It begins to repeat at one rate and ceases at half of it, so that feeds do not change back and forth.
"""

from __future__ import annotations

from collections.abc import Collection

from domain.state import Stateful
from models.weight import is_positive, weight_of
from schemas.types import Interaction
from streams.core.user.user_state import UserState, day_events

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


class RepeatRates(Stateful):
    """Rates of returns, and the categories that repeat.

    >>> rates = RepeatRates()
    >>> for visit in range(200):
    ...     rates.add("places", is_return=visit % 2 == 1)
    ...     rates.add("movies", is_return=False)
    >>> sorted(rates.categories)
    ['places']
    """

    STATE = ("_visits", "_rates", "categories")

    def __init__(self) -> None:
        self._visits: dict[str, float] = {}
        self._rates: dict[str, float] = {}
        self.categories: frozenset[str] = frozenset()
        """The categories whose items are shown again."""

    def add(self, category: str, *, is_return: bool) -> None:
        """Count a visit.

        Args:
            category: The category of the item; empty for none.
            is_return: Whether the user returns to the item.
        """
        visits = min(self._visits.get(category, _PRIOR_VISITS) + 1.0, _MEAN_VISITS)
        rate = self._rates.get(category, 0.0)
        self._visits[category], self._rates[category] = visits, rate + (is_return - rate) / visits
        if len(self._visits) > _MAX_CATEGORIES:
            self._drop(min(self._visits, key=lambda name: (name == category, self._visits[name], name)))
        self._set(category, repeats=self._rates[category] >= self._bound(category))

    def restore_categories(self, categories: Collection[str]) -> None:
        """Continue with the categories that repeated before a restart, where their rates do not contradict.

        Args:
            categories: The categories.
        """
        self.categories = frozenset(categories)
        for category in self._rates:
            self._set(category, repeats=self._rates[category] >= self._bound(category))

    def _bound(self, category: str) -> float:
        return _CEASES if category in self.categories else _BEGINS

    def _set(self, category: str, *, repeats: bool) -> None:
        if repeats != (category in self.categories):
            self.categories ^= {category}

    def _drop(self, category: str) -> None:
        del self._visits[category], self._rates[category]
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
