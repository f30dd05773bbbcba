"""Item-item matrix: links between items as dense square tables of sums, with bounded memory.

An item gets a slot in the tables with its first event. When all slots are in use, a new item evicts the item with the
least mass, so memory is bounded by the square of the slots for any number of items; most events fall on the few heavy
items, which keep their slots. With plain arrays an event is linked with its user's whole window in two additions, and a
query sums a hundred rows in one matrix product.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int32]
Sums = NDArray[np.float64]
Scores = NDArray[np.float32]


class SimilarityQuery(NamedTuple):
    """A weighted sum over the rows of some items."""

    channel: int
    weights: Sums | Scores
    """(queries, m) weights of the first m of the items."""
    damping: float = 0.0
    """Exponent of the popularity penalty: each candidate's sum is divided by this power of its mass, 0 without mass."""


SLOTS = 6_144
"""Number of items with links: 300 MB of doubles per channel when all are in use, 150 MB of floats.

Accumulated sums are doubles, so that the order of additions, which differs from run to run, cannot change a feed. Where
whole rows are only loaded, floats suffice: scores are floats everywhere.
"""
MIN_MASS = 1e-12
"""Smaller masses, which have decayed to nearly nothing, count as this one: a share of them would have no bound."""
_NOWHERE = -1


class ItemItemMatrix:
    """Sums between numbered items by channel (a way of counting), and a mass for each item."""

    def __init__(self, channels: int, *, slots: int = SLOTS, is_learned: bool = True) -> None:
        """Start empty.

        Args:
            channels: Number of tables.
            slots: Largest number of items with links.
            is_learned: Whether sums are accumulated here, and not only loaded.
        """
        self.channels, self._most = channels, slots
        self._slot_of = np.full(64, _NOWHERE, np.int32)
        """Slot of each item, or -1."""
        self._items = np.empty(0, np.int32)
        """Item at each used slot."""
        start = min(64, slots)
        self._sums = np.zeros((channels, start, start), np.float64 if is_learned else np.float32)
        self._mass = np.zeros(start)
        self._damping: dict[float, Scores] = {}
        """Cache of mass^-power by slot, keyed by power."""
        self._gather_indices: NDArray[np.intp] | None = None
        """Cache: slot of each item, or the number of used slots for none."""

    def add_mass(self, item: int, amount: float) -> None:
        """Add to the mass of an item, assigning a slot where it has none.

        Args:
            item: The item.
            amount: Increment of the mass.
        """
        slot = self._assign_slot(item)  # may replace the arrays
        self._weigh(slot, self._mass[slot] + amount)

    def link(self, item: int, others: Indices, *, into: Sums, out: Sums) -> None:
        """Add to the links between an item with a slot and others; others without a slot are skipped.

        Args:
            item: The item.
            others: (m,) distinct items.
            into: (channels, m) increments of the links from the others to the item.
            out: (channels, m) increments of the links from the item to the others.
        """
        slot = self._slot_of[item]
        slots = self._slot_of[others]
        has_slot = slots >= 0
        if not has_slot.all():
            slots, into, out = slots[has_slot], into[:, has_slot], out[:, has_slot]
        for channel in range(self.channels):
            sums = self._sums[channel]
            sums[slots, slot] += into[channel]
            sums[slot, slots] += out[channel]

    def row(self, item: int) -> tuple[Indices, Sums]:
        """Return an item's non-zero links: (k,) others and (channels, k) sums."""
        slot = self._slot(item)
        if slot == _NOWHERE:
            return np.empty(0, np.int32), np.empty((self.channels, 0))
        sums = self._sums[:, slot, : len(self._items)]
        linked = np.flatnonzero(sums.any(axis=0))
        return self._items[linked], sums[:, linked].astype(np.float64)

    def block(self, channel: int) -> tuple[Indices, Sums]:
        """Return the (m,) items with a slot, and the (m, m) links between them."""
        size = len(self._items)
        return self._items.copy(), self._sums[channel, :size, :size].astype(np.float64)

    def mass(self, item: int) -> float:
        """Return an item's mass."""
        slot = self._slot(item)
        return 0.0 if slot == _NOWHERE else float(self._mass[slot])

    def put(self, item: int, others: Indices, sums: Sums, mass: float) -> None:
        """Replace an item's mass and links; others without a slot get one.

        Args:
            item: The item.
            others: (k,) linked items.
            sums: (channels, k) links from the item to the others.
            mass: Mass of the item.
        """
        slot = self._assign_slot(item)
        self._weigh(slot, mass)
        slots = self._slots(others)
        for new in np.flatnonzero(slots < 0).tolist():
            slots[new] = self._assign_slot(int(others[new]))
        self._sums[:, slot] = 0.0
        if len(slots):
            self._sums[:, slot, slots] = sums

    def fill(self, items: Indices, sums: Sums) -> None:
        """Replace the whole content.

        Args:
            items: (m,) items.
            sums: (channels, m, m) links between them.
        """
        self.clear()
        slots = np.array([self._assign_slot(item) for item in items.tolist()], np.intp)
        self._sums[:, slots[:, None], slots] = sums

    def clear(self) -> None:
        """Remove all items and links."""
        self._slot_of[:] = _NOWHERE
        self._items = np.empty(0, np.int32)
        self._sums[:] = 0.0
        self._mass[:] = 0.0
        self._damping.clear()
        self._gather_indices = None

    def scale(self, factor: float) -> None:
        """Multiply all sums and masses."""
        self._sums *= factor
        self._mass *= factor
        self._damping.clear()

    def scores(self, items: Indices, *queries: SimilarityQuery, out: Scores) -> Scores:
        """Return the weighted sums of the rows of items, one row of scores for each row of weights.

        Args:
            items: (m,) items of the queries.
            queries: Channel, weights and damping of each group of queries.
            out: (queries, count) array that is filled and returned; count is the number of candidate items.
        """
        size, slots = len(self._items), self._slots(items)
        totals = np.empty((len(out), size + 1), np.float32)
        totals[:, size] = 0.0  # for items without a slot
        start = 0
        for channel, weights, damping in queries:
            end, slot = start + len(weights), slots[: weights.shape[1]]
            mask = slice(None) if (slot >= 0).all() else slot >= 0
            rows = self._sums[channel][slot[mask], :size].astype(np.float32, copy=False)
            np.matmul(weights[:, mask].astype(np.float32, copy=False), rows, out=totals[start:end, :size])
            if damping:
                totals[start:end, :size] *= self._damped(damping)[:size]
            start = end
        columns = self._slots_for_gather(out.shape[1])
        return totals.take(columns, axis=1, out=out, mode="clip")  # the default mode makes a copy

    def between(self, items: Indices, others: Indices, *, channel: int) -> Scores:
        """Return the (items, others) links of each item with each other; 0 without a link.

        Args:
            items: Items of the rows.
            others: Items of the columns.
            channel: The table to read.
        """
        rows, columns = self._slots(items), self._slots(others)
        links: Scores = self._sums[channel][rows[:, None], columns].astype(np.float32, copy=False)
        links[rows < 0] = 0.0
        links[:, columns < 0] = 0.0
        return links

    def _weigh(self, slot: int, mass: float) -> None:
        self._mass[slot] = mass
        for power, damping in self._damping.items():
            damping[slot] = _damping(mass, power)

    def _damped(self, power: float) -> Scores:
        if power not in self._damping:
            self._damping[power] = np.array([_damping(mass, power) for mass in self._mass.tolist()], np.float32)
        return self._damping[power]

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

    def _slot(self, item: int) -> int:
        return int(self._slot_of[item]) if 0 <= item < len(self._slot_of) else _NOWHERE

    def _assign_slot(self, item: int) -> int:
        self._reach(item + 1)
        slot = int(self._slot_of[item])
        if slot != _NOWHERE:
            return slot
        slot = len(self._items)
        if slot < self._most:
            self._items = np.append(self._items, np.int32(item))
            if slot == len(self._mass):
                self._grow()
        else:
            slot = int(self._mass.argmin())
            self._slot_of[self._items[slot]] = _NOWHERE
            self._items[slot] = item
            self._weigh(slot, 0.0)
            self._sums[:, slot] = 0.0
            self._sums[:, :, slot] = 0.0
        self._slot_of[item], self._gather_indices = slot, None
        return slot

    def _reach(self, count: int) -> None:
        """Grow the list of slots to at least `count` items."""
        if count > len(self._slot_of):
            more = max(count, 2 * len(self._slot_of)) - len(self._slot_of)
            self._slot_of = np.pad(self._slot_of, (0, more), constant_values=_NOWHERE)

    def _grow(self) -> None:
        more = min(len(self._mass), self._most - len(self._mass))
        self._mass = np.pad(self._mass, (0, more))
        self._damping.clear()
        self._sums = np.pad(self._sums, ((0, 0), (0, more), (0, more)))


def _damping(mass: float, power: float) -> float:
    return max(mass, MIN_MASS) ** -power if mass > 0.0 else 0.0
