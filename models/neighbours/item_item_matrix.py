"""Links between items: what goes with what, as square tables of sums.

An item gets a place in the tables with its first event. When all places are taken, a newcomer takes that of the item
with the least mass, so memory is bounded by the square of the places, whatever people do and however many items there
are; people spend most of their events on the few heavy items, and those keep their places. With plain arrays an event
is linked with its user's whole window in two additions, and a query adds up a hundred rows in one matrix product.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int32]
Sums = NDArray[np.float64]
Votes = NDArray[np.float32]


class SimilarityQuery(NamedTuple):
    """What is asked of links about some items."""

    channel: int
    weights: Sums | Votes
    """(queries, m) weights of the first m of the items."""
    damping: float = 0.0
    """The power of its mass by which each candidate's votes are divided; one without mass then gets none."""


SLOTS = 6_144
"""Items that can have links at a time: 300 MB of doubles for each channel once so many are in use, 150 MB of floats.

Sums are doubles where they are added up, so that the order of additions, which differs from run to run, cannot turn one
feed into another. Where whole rows are only taken over, floats do: votes are floats everywhere.
"""
_LEAST_MASS = 1e-12
_NOWHERE = -1


class ItemItemMatrix:
    """Sums between numbered items, one for each channel (a way of counting), and a mass for each item."""

    def __init__(self, channels: int, *, slots: int = SLOTS, adds: bool = True) -> None:
        """Start empty; `adds` says whether sums are added up here, and not only taken over."""
        self.channels, self._most = channels, slots
        self._slot_of = np.full(64, _NOWHERE, np.int32)
        """Place of each item, or -1."""
        self._items = np.empty(0, np.int32)
        """Item at each place, as far as they are taken."""
        start = min(64, slots)
        self._sums = np.zeros((channels, start, start), np.float64 if adds else np.float32)
        self._mass = np.zeros(start)
        self._damping: dict[float, Votes] = {}
        """One over a power of each mass, by the power, as far as they were asked for."""
        self._gather_indices: NDArray[np.intp] | None = None
        """Place of each item, or the number of places, while it is known."""

    def add_mass(self, item: int, amount: float) -> None:
        """Add to the mass of an item, and find a place for it."""
        slot = self._assign_slot(item)  # finding one may replace the arrays
        self._weigh(slot, self._mass[slot] + amount)

    def link(self, item: int, others: Indices, *, into: Sums, out: Sums) -> None:
        """Add to the links between an item that has a place and others; those without one are passed over.

        Args:
            item: The item.
            others: (m,) distinct items.
            into: (channels, m) what is added to the rows of the others, for the item.
            out: (channels, m) what is added to the row of the item, for the others.
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
        """Return an item's links: (k,) others and (channels, k) sums, as far as any is there."""
        slot = self._slot(item)
        if slot == _NOWHERE:
            return np.empty(0, np.int32), np.empty((self.channels, 0))
        sums = self._sums[:, slot, : len(self._items)]
        linked = np.flatnonzero(sums.any(axis=0))
        return self._items[linked], sums[:, linked].astype(np.float64)

    def block(self, channel: int) -> tuple[Indices, Sums]:
        """Return the (m,) items that have a place, and (m, m) links between them."""
        size = len(self._items)
        return self._items.copy(), self._sums[channel, :size, :size].astype(np.float64)

    def mass(self, item: int) -> float:
        """Return an item's mass."""
        slot = self._slot(item)
        return 0.0 if slot == _NOWHERE else float(self._mass[slot])

    def put(self, item: int, others: Indices, sums: Sums, mass: float) -> None:
        """Replace an item's mass and links; others without a place get one."""
        slot = self._assign_slot(item)
        self._weigh(slot, mass)
        slots = self._slots(others)
        for new in np.flatnonzero(slots < 0).tolist():
            slots[new] = self._assign_slot(int(others[new]))
        self._sums[:, slot] = 0.0
        if len(slots):
            self._sums[:, slot, slots] = sums

    def fill(self, items: Indices, sums: Sums) -> None:
        """Replace everything by (channels, m, m) links between (m,) items."""
        self.clear()
        slots = np.array([self._assign_slot(item) for item in items.tolist()], np.intp)
        self._sums[:, slots[:, None], slots] = sums

    def clear(self) -> None:
        """Forget everything."""
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

    def scores(self, items: Indices, *queries: SimilarityQuery, out: Votes) -> Votes:
        """Fill and return (queries, count): for each question, rows of items added up with the weights."""
        size, slots = len(self._items), self._slots(items)
        totals = np.empty((len(out), size + 1), np.float32)
        totals[:, size] = 0.0  # for what has no place
        start = 0
        for channel, weights, damping in queries:
            end, slot = start + len(weights), slots[: weights.shape[1]]
            mask = slice(None) if (slot >= 0).all() else slot >= 0
            rows = self._sums[channel][slot[mask], :size].astype(np.float32, copy=False)
            np.matmul(weights[:, mask].astype(np.float32, copy=False), rows, out=totals[start:end, :size])
            if damping:
                totals[start:end, :size] *= self._damped(damping)[:size]
            start = end
        return totals.take(
            self._slots_for_gather(out.shape[1]), axis=1, out=out, mode="clip"
        )  # the default mode makes a copy

    def between(self, items: Indices, others: Indices, *, channel: int) -> Votes:
        """Return (items, others): the links of each item with each other; 0 where there is none."""
        rows, columns = self._slots(items), self._slots(others)
        links: Votes = self._sums[channel][rows[:, None], columns].astype(np.float32, copy=False)
        links[rows < 0] = 0.0
        links[:, columns < 0] = 0.0
        return links

    def _weigh(self, slot: int, mass: float) -> None:
        self._mass[slot] = mass
        for power, damping in self._damping.items():
            damping[slot] = _damping(mass, power)

    def _damped(self, power: float) -> Votes:
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
        """Have so many items in the list of places."""
        if count > len(self._slot_of):
            more = max(count, 2 * len(self._slot_of)) - len(self._slot_of)
            self._slot_of = np.pad(self._slot_of, (0, more), constant_values=_NOWHERE)

    def _grow(self) -> None:
        more = min(len(self._mass), self._most - len(self._mass))
        self._mass = np.pad(self._mass, (0, more))
        self._damping.clear()
        self._sums = np.pad(self._sums, ((0, 0), (0, more), (0, more)))


def _damping(mass: float, power: float) -> float:
    return max(mass, _LEAST_MASS) ** -power if mass > 0.0 else 0.0
