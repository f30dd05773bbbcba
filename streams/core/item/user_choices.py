"""User choices: what each user adds to private statistics, which is bounded.

A choice is a positive action on an item, with a weight of at most 1. A user's last choices count by their age, and for
the user's demographic group; by the length of the history before them, the first ones count, too. All of a kind are
bounded together: their squared weights add up to `LAST` and `FIRST`, at most. So the sums over all users, as points in
space, move by no more than the square root of that when a user joins or leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from domain.timestamp import DAY_MS
from models.vocabulary import Vocabulary
from streams.core.item.item_stats import COHORTS, cohort_of

LAST = 32.0
"""Bound of the squared weights of a user's last choices."""
FIRST = 15.0
"""The same of the first ones."""
FIRST_COHORTS = 3
"""Number of cohorts to which the first choices belong: their histories before are short."""
FIRST_ITEMS = 15
"""Number of items in the histories of these cohorts."""
AGE_DAYS = (1.0, 7.0, 30.0)
"""Bounds of the ages of choices, in days; the last age has no bound."""
AGES = len(AGE_DAYS) + 1
CELLS = AGES + COHORTS
"""Sums of an item: the weights of choices by their age, then by the cohort of their user then."""
UNITS = 16
"""Sums are whole numbers of units: a weight of 1 is as many."""
_CHOICE = np.dtype([("item", "<i4"), ("units", "<i4"), ("at_ms", "<i8")])
_COHORT_CHOICE = np.dtype([("item", "<i4"), ("units", "<i4"), ("cohort", "<i4")])


class _UserRow(NamedTuple):
    """The choices of a user."""

    segment: str
    last: bytes
    """Entries of `_CHOICE`."""
    by_cohort: bytes
    """Entries of `_COHORT_CHOICE`."""


class UserChoices:
    """The choices of all users.

    >>> choices = UserChoices()
    >>> choices.put("ada", [("jazz", 2.0, 0), ("folk", -1.0, 0), ("jazz", 0.5, 0)], seen_items=["jazz"], event_count=3)
    >>> (choices.by_cell(["folk", "jazz"], 0).sum(axis=1) / UNITS).tolist()
    [0.0, 2.0]
    """

    def __init__(self, *, most_users: int | None = None) -> None:
        """Start empty.

        Args:
            most_users: Number of users; of more, those whose choices were set first are dropped. All by default.
        """
        self._items, self._most_users = Vocabulary(), most_users
        self._rows: dict[str, _UserRow] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def put(
        self,
        user_id: str,
        history: Iterable[tuple[str, float, int]],
        *,
        seen_items: Iterable[str],
        event_count: int,
        segment: str = "",
    ) -> None:
        """Set the choices of a user, in place of those before.

        Args:
            user_id: The user.
            history: Item, weight and time in ms of the user's last actions, newest first.
            seen_items: The items that the user has acted on, in the order of their last action.
            event_count: Number of the user's interactions.
            segment: The user's demographic group; empty if unknown.
        """
        last: list[tuple[int, int, int]] = []
        by_cohort: list[tuple[int, int, int]] = []
        units_by_item: dict[str, int] = {}
        room = LAST * UNITS**2
        for number, (item_id, weight, at_ms) in enumerate(history, 1):
            if item_id in units_by_item:
                continue
            units_by_item[item_id] = units = round(UNITS * min(max(weight, 0.0), 1.0))
            room -= units**2
            if room < 0:
                break
            if units:
                item, cohort = self._items.add(item_id), cohort_of(event_count - number)
                last.append((item, units, at_ms))
                if cohort >= FIRST_COHORTS:
                    by_cohort.append((item, units, cohort))
        for number, item_id in zip(range(FIRST_ITEMS), seen_items):  # noqa: B905 - the first of them
            if units := units_by_item.get(item_id, UNITS):
                by_cohort.append((self._items.add(item_id), units, cohort_of(number)))
        self._rows.pop(user_id, None)
        data = np.array(last, _CHOICE).tobytes(), np.array(by_cohort, _COHORT_CHOICE).tobytes()
        self._rows[user_id] = _UserRow(segment, *data)
        if self._most_users is not None and len(self._rows) > self._most_users:
            del self._rows[next(iter(self._rows))]

    def forget(self, user_id: str) -> None:
        """Forget the choices of a user."""
        self._rows.pop(user_id, None)

    def users_by_segment(self) -> dict[str, int]:
        """Return the number of users in each demographic group."""
        counts: dict[str, int] = {}
        for row in self._rows.values():
            if row.segment:
                counts[row.segment] = counts.get(row.segment, 0) + 1
        return counts

    def by_cell(self, item_ids: Sequence[str], at_ms: int) -> NDArray[np.int64]:
        """Return (items, CELLS) sums of weights, in units.

        Args:
            item_ids: The items; choices of others do not count.
            at_ms: The time of which the ages are, in ms since the epoch.
        """
        numbers = self._numbers(item_ids)
        sums = np.zeros((len(item_ids) + 1, CELLS), np.int64)  # the last row is of all other items
        last = np.frombuffer(b"".join([row.last for row in self._rows.values()]), _CHOICE)
        ages = np.searchsorted(np.array(AGE_DAYS) * DAY_MS, at_ms - last["at_ms"], side="right")
        np.add.at(sums, (numbers[last["item"]], ages), last["units"])
        by_cohort = np.frombuffer(b"".join([row.by_cohort for row in self._rows.values()]), _COHORT_CHOICE)
        np.add.at(sums, (numbers[by_cohort["item"]], AGES + by_cohort["cohort"]), by_cohort["units"])
        return sums[:-1]

    def in_segment(self, segment: str, item_ids: Sequence[str]) -> NDArray[np.int64]:
        """Return (items,) sums of the weights of the last choices in a demographic group, in units.

        Args:
            segment: The group.
            item_ids: The items; choices of others do not count.
        """
        rows = [row.last for row in self._rows.values() if row.segment == segment]
        choices, sums = np.frombuffer(b"".join(rows), _CHOICE), np.zeros(len(item_ids) + 1, np.int64)
        np.add.at(sums, self._numbers(item_ids)[choices["item"]], choices["units"])
        return sums[:-1]

    def _numbers(self, item_ids: Sequence[str]) -> NDArray[np.intp]:
        """Return the index in `item_ids` of each item that anybody has chosen; their number for those not there."""
        numbers = np.full(len(self._items) + 1, len(item_ids), np.intp)
        indices = self._items.encode(item_ids)
        numbers[indices] = np.arange(len(item_ids))  # unknown ones write to the last entry, which no choice has
        return numbers
