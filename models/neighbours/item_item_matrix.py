"""Item-item matrix: fitted weights between items as a dense square table, with bounded memory.

An item gets a slot in the table with its first row or link. When all slots are in use, a new item evicts one without a
row, so memory is bounded by the square of the slots. A query sums a hundred rows in one matrix product.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.neighbours.sparse_links import Indices, LinkScores, Sums

SLOTS = 6_144
"""Number of items with weights: 150 MB when all are in use."""
_NOWHERE = -1


class SlotScores:
    """Weighted sums of rows by item with a slot; those of all other items are 0."""

    def __init__(self, items: Indices, scores: LinkScores, slot_of: Indices) -> None:
        """Take the arrays as they are, without a copy.

        Args:
            items: (slots,) the item at each slot.
            scores: (queries, slots + 1) their scores, then zeros.
            slot_of: Slot of each item, or -1; items beyond have none.
        """
        self.items, self._scores, self._slot_of = items, scores, slot_of

    @property
    def scores(self) -> LinkScores:
        """Return the (queries, slots) scores of the items with a slot."""
        return self._scores[:, :-1]

    def at(self, items: Indices) -> LinkScores:
        """Return the (queries, items) scores of some items."""
        slots = self._slot_of.take(items, mode="clip")
        slots[items >= len(self._slot_of)] = _NOWHERE
        return self._scores.take(slots, axis=1)  # -1 is the last one, of zeros


class ItemItemMatrix:
    """Weights between numbered items."""

    def __init__(self, *, slots: int = SLOTS) -> None:
        """Start empty.

        Args:
            slots: Largest number of items with weights.
        """
        self._most = slots
        self._slot_of = np.full(64, _NOWHERE, np.int32)
        """Slot of each item, or -1."""
        self._items = np.empty(0, np.int32)
        """Item at each used slot."""
        start = min(64, slots)
        self._weights = np.zeros((start, start), np.float32)
        self._has_row = np.zeros(start, bool)
        """Whether the item at each slot has a row of its own."""
        self._gather_indices: NDArray[np.intp] | None = None
        """Cache: slot of each item, or the number of used slots for none."""

    def block(self) -> tuple[Indices, LinkScores]:
        """Return the (m,) items with a slot, and the (m, m) weights between them."""
        size = len(self._items)
        return self._items.copy(), self._weights[:size, :size].copy()

    def put(self, item: int, others: Indices, weights: Sums) -> None:
        """Replace an item's row; others without a slot get one.

        Args:
            item: The item.
            others: (k,) distinct linked items.
            weights: (k,) weights from the item to the others.
        """
        slot = self._assign_slot(item)
        self._has_row[slot] = True
        slots = self._slots(others)
        for new in np.flatnonzero(slots < 0).tolist():
            slots[new] = self._assign_slot(int(others[new]))
        self._weights[slot] = 0.0
        self._weights[slot, slots] = weights

    def fill(self, items: Indices, weights: Sums) -> None:
        """Replace the whole content.

        Args:
            items: (m,) items.
            weights: (m, m) weights between them.
        """
        self.clear()
        slots = np.array([self._assign_slot(item) for item in items.tolist()], np.intp)
        self._has_row[slots] = True
        self._weights[slots[:, None], slots] = weights

    def clear(self) -> None:
        """Remove all items and weights."""
        self._slot_of[:] = _NOWHERE
        self._items = np.empty(0, np.int32)
        self._weights[:] = 0.0
        self._has_row[:] = False
        self._gather_indices = None

    def scores(self, items: Indices, weights: Sums | LinkScores, *, out: LinkScores) -> LinkScores:
        """Return the weighted sums of the rows of items, one row of scores for each row of weights.

        Args:
            items: (m,) items.
            weights: (queries, m) weights of the items.
            out: (queries, count) array that is filled and returned; count is the number of candidate items.
        """
        columns = self._slots_for_gather(out.shape[1])
        return self._totals(items, weights).take(columns, axis=1, out=out, mode="clip")  # the default mode makes a copy

    def sparse_scores(self, items: Indices, weights: Sums | LinkScores) -> SlotScores:
        """Return the same scores of the items with a slot alone.

        Args:
            items: (m,) items.
            weights: (queries, m) weights of the items.
        """
        self._reach(1)
        return SlotScores(self._items, self._totals(items, weights), self._slot_of)

    def _totals(self, items: Indices, weights: Sums | LinkScores) -> LinkScores:
        """Return the (queries, slots + 1) weighted sums of rows, then zeros for items without a slot."""
        size, slots = len(self._items), self._slots(items)
        totals = np.empty((len(weights), size + 1), np.float32)
        totals[:, size] = 0.0
        mask = slice(None) if (slots >= 0).all() else slots >= 0
        np.matmul(
            weights[:, mask].astype(np.float32, copy=False), self._weights[slots[mask], :size], out=totals[:, :size]
        )
        return totals

    def between(self, items: Indices, others: Indices) -> LinkScores:
        """Return the (items, others) weights of each item with each other; 0 without one.

        Args:
            items: Items of the rows.
            others: Items of the columns.
        """
        rows, columns = self._slots(items), self._slots(others)
        weights: LinkScores = self._weights[rows[:, None], columns]
        weights[rows < 0] = 0.0
        weights[:, columns < 0] = 0.0
        return weights

    def _slots_for_gather(self, count: int) -> NDArray[np.intp]:
        if self._gather_indices is None or len(self._gather_indices) != count:
            self._reach(count)
            slots = self._slot_of[:count].astype(np.intp)
            self._gather_indices = np.where(slots == _NOWHERE, len(self._items), slots)
        return self._gather_indices

    def _slots(self, items: Indices) -> Indices:
        try:
            return self._slot_of[items]
        except IndexError:  # some are new
            self._reach(int(items.max()) + 1)
            return self._slot_of[items]

    def _assign_slot(self, item: int) -> int:
        self._reach(item + 1)
        slot = int(self._slot_of[item])
        if slot != _NOWHERE:
            return slot
        slot = len(self._items)
        if slot < self._most:
            self._items = np.append(self._items, np.int32(item))
            if slot == len(self._has_row):
                self._grow()
        else:
            slot = int(self._has_row.argmin())
            self._slot_of[self._items[slot]] = _NOWHERE
            self._items[slot] = item
            self._has_row[slot] = False
            self._weights[slot] = 0.0
            self._weights[:, slot] = 0.0
        self._slot_of[item], self._gather_indices = slot, None
        return slot

    def _reach(self, count: int) -> None:
        """Grow the list of slots to at least `count` items."""
        if count > len(self._slot_of):
            more = max(count, 2 * len(self._slot_of)) - len(self._slot_of)
            self._slot_of = np.pad(self._slot_of, (0, more), constant_values=_NOWHERE)

    def _grow(self) -> None:
        more = min(len(self._has_row), self._most - len(self._has_row))
        self._has_row = np.pad(self._has_row, (0, more))
        self._weights = np.pad(self._weights, (0, more))
