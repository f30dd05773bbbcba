"""Sparse links: the strongest links of every item, as rows in one growing block of memory.

A row holds the ids of linked items and a sum for each channel. Rows grow by doubling, up to a maximum; a full row drops
its weakest links, with popular items damped as in queries. So memory grows with the number of links, not with the
square of the number of items, and every item has links. The loops over rows are compiled, and run without the
interpreter's lock.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int32]
Sums = NDArray[np.float64]
LinkScores = NDArray[np.float32]
A = TypeVar("A", bound=np.generic)

MOST_LINKS, FEWEST_LINKS = 4_096, 128
"""Limits of a row in a small catalogue and in a very large one, in links.

In a catalogue of up to that many items no link is ever dropped, so that the order of events cannot change a feed.
"""
LINKS = 1 << 25
"""Links of all rows up to which the limit of a row is not lowered: 8,192 full rows, 0.7 GB as doubles."""
MIN_EVENT_COUNT = 1e-12
"""Smaller counts, which have decayed to nearly nothing, count as this one: a share of them would have no bound."""
_PRUNING_DAMPING = 0.5
"""Exponent of the popularity penalty by which a full row tells its weakest links."""
_SMALLEST_ROW = 8
_START_ITEMS, _START_LINKS = 64, 1_024


class SimilarityQuery(NamedTuple):
    """A weighted sum over the rows of some items."""

    channel: int
    weights: Sums | LinkScores
    """(queries, m) weights of the first m of the items."""
    damping: float = 0.0
    """Exponent of the popularity penalty: each candidate's sum is divided by this power of its event count, and is 0
    without events."""


class SparseScores:
    """Weighted sums of rows by linked item; those of all other items are 0."""

    def __init__(self, items: Indices, scores: LinkScores, table: Indices) -> None:
        """Take the arrays as they are, without a copy.

        Args:
            items: (n,) the linked items.
            scores: (queries, n + 1) their scores, then zeros.
            table: The hash table of the items.
        """
        from models.neighbours import link_kernels

        self._kernels, self._table, self._scores = link_kernels, table, scores
        self.items = items

    @property
    def scores(self) -> LinkScores:
        """Return the (queries, n) scores of the linked items."""
        return self._scores[:, :-1]

    def at(self, items: Indices) -> LinkScores:
        """Return the (queries, items) scores of some items."""
        indices: NDArray[np.int64] = self._kernels.locate(self._table, items)
        return self._scores.take(indices, axis=1)  # -1 is the last one, of zeros


class SparseLinks:
    """Sums between numbered items by channel (a way of counting), and an event count for each item, all decayed."""

    def __init__(
        self,
        channels: int,
        *,
        is_learned: bool = True,
        limits: tuple[int, int] = (FEWEST_LINKS, MOST_LINKS),
        links: int = LINKS,
        is_part: bool = False,
    ) -> None:
        """Start empty.

        Args:
            channels: Number of sums of a link.
            is_learned: Whether sums are accumulated here, as doubles, so that the order of additions, which differs
                from run to run, cannot change a feed; loaded sums are floats, as scores are everywhere.
            limits: The lowest and the highest limit of a row, in links; powers of two.
            links: Links of all rows up to which the limit of a row is not lowered.
            is_part: Whether there are rows of a part of the items only. The event counts of the others are unknown
                then: the popularity of an item in a full row is the sum of all links to it, not its event count.
        """
        from models.neighbours import link_kernels  # with numba, which costs 80 MB: most roles have no links

        self._kernels = link_kernels
        self._limits, self._links, self._rows = limits, links, 0
        self._ids = np.zeros(_START_LINKS, np.int32)
        self._sums = np.zeros((channels, _START_LINKS), np.float64 if is_learned else np.float32)
        self._end = 0
        """The index behind all rows."""
        self._free: dict[int, list[int]] = {}
        """Starts of abandoned rows, by their room."""
        self._starts = np.zeros(_START_ITEMS, np.int64)
        self._lengths = np.zeros(_START_ITEMS, np.int32)
        self._rooms = np.zeros(_START_ITEMS, np.int32)
        self._event_counts = np.zeros(_START_ITEMS)
        self._arrivals: Sums | None = np.zeros(_START_ITEMS) if is_part else None
        """Sums of the links to each item, dropped ones included; only where the rows are a part."""
        self._damping: dict[float, LinkScores] = {}
        """Cache of event_count^-power by item, keyed by power."""
        self.dropped_links = 0
        """Links that full rows have dropped."""

    @property
    def nbytes(self) -> int:
        """Return the memory of all arrays, in bytes."""
        rows = (self._ids, self._sums, self._starts, self._lengths, self._rooms)
        counts = (self._event_counts, *(() if self._arrivals is None else (self._arrivals,)))
        return sum(array.nbytes for array in (*rows, *counts, *self._damping.values()))

    @property
    def link_count(self) -> int:
        """Return the number of links."""
        return int(self._lengths.sum())

    @property
    def row_limit(self) -> int:
        """Return the limit of a row in links: a power of two, lower the more items have links."""
        fewest, most = self._limits
        return min(max(_power_of_two(max(self._links // max(self._rows, 1), 1)), fewest), most)

    def add_events(self, item: int, amount: float) -> None:
        """Add to the event count of an item.

        Args:
            item: The item.
            amount: Increment of the count.
        """
        self._reach(item + 1)
        self._weigh(item, self._event_counts[item] + amount)

    def link(self, item: int, others: Indices, *, into: Sums, out: Sums) -> None:
        """Add to the links between an item and others.

        Args:
            item: The item.
            others: (m,) distinct items.
            into: (channels, m) increments of the links from the others to the item.
            out: (channels, m) increments of the links from the item to the others.
        """
        self.add(others, np.full(len(others), item, np.int32), into)
        self.add(np.full(len(others), item, np.int32), others, out)

    def add(self, rows: Indices, others: Indices, increments: Sums) -> None:
        """Add to links pairwise, in order.

        Args:
            rows: (m,) items of the rows.
            others: (m,) linked items.
            increments: (channels, m) increments of the links from `rows` to `others`.
        """
        self._reach(max(int(rows.max(initial=0)), int(others.max(initial=0))) + 1)
        increments = np.ascontiguousarray(increments, self._sums.dtype)
        if self._arrivals is not None:
            self._kernels.add_arrivals(self._arrivals, others, increments)
        number = 0
        while True:
            number = self._kernels.add(
                self._ids, self._sums, self._starts, self._lengths, self._rooms, rows, others, increments, number
            )
            if number == len(rows):
                return
            self._make_room(int(rows[number]))

    def row(self, item: int) -> tuple[Indices, Sums]:
        """Return an item's links: (k,) others and (channels, k) sums."""
        where = self._where(item)
        return self._ids[where].copy(), self._sums[:, where].astype(np.float64)

    def event_count(self, item: int) -> float:
        """Return an item's event count."""
        return float(self._event_counts[item]) if 0 <= item < len(self._event_counts) else 0.0

    def put(self, item: int, others: Indices, sums: Sums, event_count: float) -> None:
        """Replace an item's event count and links; of more links than a row holds, the strongest are kept.

        Args:
            item: The item.
            others: (k,) distinct linked items.
            sums: (channels, k) links from the item to the others.
            event_count: Event count of the item.
        """
        self._reach(max(item, int(others.max(initial=0))) + 1)
        self._weigh(item, event_count)
        if len(others) > (limit := self.row_limit):
            strongest = self._strongest(sums.sum(axis=0), limit)
            others, sums = others[strongest], sums[:, strongest]
        if self._arrivals is not None:
            former_links = self._where(item)
            np.subtract.at(self._arrivals, self._ids[former_links], self._sums[:, former_links].sum(axis=0))
            np.add.at(self._arrivals, others, sums.sum(axis=0))
        self._lengths[item] = 0
        if len(others) > self._rooms[item]:
            self._move(item, max(_SMALLEST_ROW, _power_of_two(2 * len(others) - 1)))
        start = self._starts[item]
        self._ids[start : start + len(others)] = others
        self._sums[:, start : start + len(others)] = sums
        self._lengths[item] = len(others)

    def clear(self) -> None:
        """Remove all items and links."""
        self._lengths[:], self._rooms[:], self._event_counts[:] = 0, 0, 0.0
        if self._arrivals is not None:
            self._arrivals[:] = 0.0
        self._end = self._rows = 0
        self._free.clear()
        self._damping.clear()

    def scale(self, factor: float) -> None:
        """Multiply all sums and event counts."""
        self._sums[:, : self._end] *= factor
        self._event_counts *= factor
        if self._arrivals is not None:
            self._arrivals *= factor
        self._damping.clear()

    def scores(self, items: Indices, *queries: SimilarityQuery, out: LinkScores) -> LinkScores:
        """Return the weighted sums of the rows of items, one row of scores for each row of weights.

        Args:
            items: (m,) items of the queries.
            queries: Channel, weights and damping of each group of queries.
            out: (queries, count) array that is filled and returned; count is the number of candidate items.
        """
        out[:] = 0.0
        start = 0
        for channel, weights, damping in queries:
            scores = out[start : start + len(weights)]
            self._kernels.accumulate(
                self._ids,
                self._sums[channel],
                self._starts,
                self._lengths,
                items[: weights.shape[1]],
                np.ascontiguousarray(weights, np.float32),
                scores,
            )
            if damping:
                self._reach(out.shape[1])
                scores *= self._damped(damping)[: out.shape[1]]
            start += len(weights)
        return out

    def sparse_scores(self, items: Indices, *queries: SimilarityQuery, count: int) -> SparseScores:
        """Return the same scores as `scores`, of the linked items alone: the cost depends on their number only.

        Args:
            items: (m,) items of the queries.
            queries: Channel, weights and damping of each group of queries.
            count: Number of candidate items.
        """
        self._reach(count)
        rows = [(query.channel, weights, query.damping) for query in queries for weights in query.weights]
        weights = np.zeros((len(rows), len(items)), np.float32)
        for row, (_, own, _) in zip(weights, rows, strict=True):
            row[: len(own)] = own
        channels = np.array([channel for channel, _, _ in rows], np.int64)
        others, scores, table = self._kernels.accumulate_sparse(
            self._ids, self._sums, self._starts, self._lengths, items, channels, weights, count
        )
        factors = {damping: self._damped(damping).take(others) for _, _, damping in rows if damping}
        for row, (_, _, damping) in zip(scores, rows, strict=True):
            if damping:
                row[:-1] *= factors[damping]
        return SparseScores(others, scores, table)

    def between(self, items: Indices, others: Indices, *, channel: int) -> LinkScores:
        """Return the (items, others) links of each item with each other; 0 without a link.

        Args:
            items: Items of the rows.
            others: Items of the columns, distinct.
            channel: The sum to read.
        """
        links = np.zeros((len(items), len(others)), np.float32)
        self._kernels.gather(self._ids, self._sums[channel], self._starts, self._lengths, items, others, links)
        return links

    def _make_room(self, item: int) -> None:
        """Make room for more links in a full row."""
        limit = self.row_limit
        if self._rooms[item] < limit:
            self._move(item, max(2 * int(self._rooms[item]), _SMALLEST_ROW))
            return
        where = self._where(item)
        strengths = self._sums[:, where].sum(axis=0) * self._pruning_factors(self._ids[where])
        strongest = self._strongest(strengths, limit * 3 // 4)
        start = self._starts[item]
        self._ids[start : start + len(strongest)] = self._ids[where][strongest]
        self._sums[:, start : start + len(strongest)] = self._sums[:, where][:, strongest]
        self._lengths[item] = len(strongest)
        if self._rooms[item] > limit:
            self._move(item, limit)

    def _pruning_factors(self, items: Indices) -> Sums | LinkScores:
        """Return the popularity penalty of linked items in a full row."""
        if self._arrivals is None:
            return self._damped(_PRUNING_DAMPING)[items]
        factors: Sums = np.maximum(self._arrivals[items], MIN_EVENT_COUNT) ** -_PRUNING_DAMPING
        return factors

    def _strongest(self, strengths: Sums, most: int) -> NDArray[np.intp]:
        """Return the indices of the strongest links of a row in their order, and count the others as dropped."""
        self.dropped_links += len(strengths) - most
        return np.sort(np.argsort(-strengths, kind="stable")[:most])

    def _move(self, item: int, room: int) -> None:
        """Move an item's row to where there is more room."""
        vacant = self._free.get(room)
        if vacant:
            start = vacant.pop()
        else:
            start, self._end = self._end, self._end + room
            if self._end > len(self._ids):
                more = max(self._end, 2 * len(self._ids)) - len(self._ids)
                self._ids, self._sums = _longer(self._ids, more), _longer(self._sums, more)
        where, length = self._where(item), int(self._lengths[item])
        self._ids[start : start + length] = self._ids[where]
        self._sums[:, start : start + length] = self._sums[:, where]
        if self._rooms[item]:
            self._free.setdefault(int(self._rooms[item]), []).append(int(self._starts[item]))
        else:
            self._rows += 1
        self._starts[item], self._rooms[item] = start, room

    def _where(self, item: int) -> slice:
        if not 0 <= item < len(self._starts):
            return slice(0, 0)
        start = int(self._starts[item])
        return slice(start, start + int(self._lengths[item]))

    def _weigh(self, item: int, event_count: float) -> None:
        self._event_counts[item] = event_count
        for power, damping in self._damping.items():
            damping[item] = _damping(event_count, power)

    def _damped(self, power: float) -> LinkScores:
        if power not in self._damping:
            damping = [_damping(count, power) for count in self._event_counts.tolist()]
            self._damping[power] = np.array(damping, np.float32)
        return self._damping[power]

    def _reach(self, count: int) -> None:
        """Grow the arrays to at least `count` items."""
        if count > len(self._event_counts):
            more = max(count, 2 * len(self._event_counts)) - len(self._event_counts)
            self._starts, self._lengths = np.pad(self._starts, (0, more)), np.pad(self._lengths, (0, more))
            self._rooms, self._event_counts = np.pad(self._rooms, (0, more)), np.pad(self._event_counts, (0, more))
            if self._arrivals is not None:
                self._arrivals = np.pad(self._arrivals, (0, more))
            for power, damping in self._damping.items():  # items without events have a factor of 0
                self._damping[power] = np.pad(damping, (0, more))


def strongest(scores: LinkScores, limit: int) -> NDArray[np.int64]:
    """Return the indices of the highest positive scores of each query, in any order, those of all queries together.

    Args:
        scores: (queries, n) scores.
        limit: Number of indices of each query, at most; from 1.
    """
    from models.neighbours import link_kernels

    indices: NDArray[np.int64] = link_kernels.strongest(scores, limit)
    return indices


def _longer(array: NDArray[A], more: int) -> NDArray[A]:
    """Return an array with zeros appended to its last axis; they take no memory until they are written."""
    result = np.zeros((*array.shape[:-1], array.shape[-1] + more), array.dtype)
    result[..., : array.shape[-1]] = array
    return result


def _power_of_two(number: int) -> int:
    """Return the largest power of two up to a number."""
    return 1 << number.bit_length() - 1


def _damping(event_count: float, power: float) -> float:
    return max(event_count, MIN_EVENT_COUNT) ** -power if event_count > 0.0 else 0.0
