"""Link rows: the links from the items of one partition, learned from its log of link updates.

The rows are a function of the log: each knows the offset of the first record that it does not include. So published
rows are a complete copy of the state. Another worker loads them, reads the log again from the offset of `checkpoint`,
and skips in each row what it has; records that were emitted twice are known by the positions of their interactions.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.factorization.item_embeddings import ItemEmbeddings
from models.neighbours.cooccurrence import NEXT, TOGETHER, TOGETHER_SHARES, DecayedCooccurrence
from models.neighbours.sparse_links import LINKS, Indices, SparseLinks, Sums
from models.vocabulary import Vocabulary
from schemas.types import ItemNeighbors, LinkUpdates
from streams.core.byte_budget import strongest
from streams.core.item.link_events import Updates, unpack
from streams.core.position import new_records
from topics.topic import PARTITIONS

YOUNG_EVENTS = 20.0
"""Items with fewer events are young: their rows are published first."""
MOST_WAITING = 100_000
"""Records of the log since the checkpoint above which all changed rows are due at once."""
ROW_BYTES = 768 << 10
"""Limit of the ids and sums in a row, in bytes."""
_LINK_BYTES = 20
"""Bytes of the two sums of a link and of the length prefix of its id."""
_QUARTER = 0.25


class Pairs(NamedTuple):
    """Links that the events of a record change, in the order of the events."""

    events: NDArray[np.int64]
    """(n,) the number of the event in its record, ascending."""
    rows: Indices
    """(n,) the item of the row."""
    others: Indices
    """(n,) the linked item."""
    shares: Sums
    """(channels, n) shares of the event's weight."""


Positions = dict[int, tuple[int, int]]
"""The (offset, append time) of the newest interaction included, by source partition."""


class LinkRows:
    """The rows of one partition, with what is not published of them."""

    def __init__(self, items: Vocabulary, *, half_life_days: float, embeddings: ItemEmbeddings | None = None) -> None:
        """Start empty, at the beginning of the log.

        Args:
            items: Numbers of items; all partitions of a process may share them.
            half_life_days: Half-life of the links, in days.
            embeddings: Embeddings of the items, which learn from the same events, if any.
        """
        self._items, self._embeddings = items, embeddings
        self._links = SparseLinks(2, links=LINKS // PARTITIONS, is_part=True)
        self._table = DecayedCooccurrence(half_life_days=half_life_days, links=self._links)
        self.next_offset = 0
        """The offset of the next record of the log."""
        self._positions: Positions = {}
        self.watermark = 0
        """Time of the newest event learned from, in ms since the epoch."""
        self._row_offsets: dict[int, int] = {}
        """The offset of the first record that a loaded row does not include, by item; empty after the start."""
        self._ahead, self._ahead_until = np.empty(0, np.int32), np.empty(0, np.int64)
        """Items whose loaded rows include records from `next_offset` on, and the first offset not included."""
        self._young_rows: dict[int, int] = {}
        self._changed_rows: dict[int, int] = {}
        """Items with unpublished changes, with the offset of the first one; in `_changed_rows` oldest change first."""
        self._waiting: deque[tuple[int, int, tuple[int, int]]] = deque()
        """Records since the checkpoint: offset, source partition, and its newest position after them."""
        self._checkpoint_positions: Positions = {}
        self.omitted_links = 0
        """Links left out of rows for lack of space in a record."""

    @property
    def changed_count(self) -> int:
        """Return the number of rows with unpublished changes."""
        return len(self._young_rows) + len(self._changed_rows)

    @property
    def link_count(self) -> int:
        """Return the number of links."""
        return self._links.link_count

    @property
    def nbytes(self) -> int:
        """Return the memory of the rows, in bytes."""
        return self._links.nbytes

    @property
    def dropped_links(self) -> int:
        """Return the number of links that full rows have dropped."""
        return self._links.dropped_links

    def load(self, row: ItemNeighbors) -> None:
        """Take over a published row, in place of any before. Call it before `start`."""
        item = self._items.add(row.item_id)
        others = self._items.add_all(row.neighbors)
        sums = np.array([row.scores, row.follows or [0.0] * len(row.scores)])
        self._table.put(item, others, sums, event_count=row.mass, reference_ms=row.reference)
        self._row_offsets[item] = row.updates_offset
        self.watermark = max(self.watermark, row.watermark)

    def unload(self, item_id: str) -> None:
        """Forget a published row, which was deleted."""
        if (item := self._items.get(item_id)) in self._row_offsets:
            self._links.put(item, np.empty(0, np.int32), np.empty((2, 0)), 0.0)
            del self._row_offsets[item]

    def start(self, offset: int, positions: Mapping[int, tuple[int, int]], *, end: int) -> None:
        """Continue from a checkpoint, with the rows loaded before.

        Args:
            offset: The offset of the checkpoint.
            positions: Its positions.
            end: The end of the log. A row that includes records beyond it is of another log, which is gone.
        """
        self.next_offset = offset
        self._positions, self._checkpoint_positions = dict(positions), dict(positions)
        ahead = {item: until for item, until in self._row_offsets.items() if offset < until <= end}
        self._ahead, self._ahead_until = np.array([*ahead], np.int32), np.array([*ahead.values()], np.int64)
        self._row_offsets.clear()

    def apply(self, offset: int, updates: LinkUpdates) -> None:
        """Apply the next record of the log; a record before `next_offset` changes nothing.

        Args:
            offset: Its offset.
            updates: The record.

        Raises:
            OutOfRangeError: its columns do not fit together; nothing is changed but the offset.
        """
        if offset < self.next_offset:
            return
        self.next_offset = offset + 1
        content, source = unpack(updates), updates.source_partition
        events = content.events
        new, position = new_records(
            self._positions.get(source), events["offset"].tolist(), events["append_ms"].tolist()
        )
        if not new or position is None:
            return
        self._positions[source] = position
        self._waiting.append((offset, source, position))
        is_new = np.zeros(len(events), bool)
        is_new[new] = True
        codes = self._items.add_all(updates.items)
        self._learn(offset, content, is_new, codes)
        if len(self._ahead) and offset + 1 >= self._ahead_until.max():
            self._ahead, self._ahead_until = np.empty(0, np.int32), np.empty(0, np.int64)

    def skip_to(self, offset: int) -> None:
        """Pass the records before an offset, which hold nothing usable."""
        self.next_offset = max(self.next_offset, offset)

    def rows(self, most_links: int) -> Iterator[ItemNeighbors]:
        """Yield changed rows up to about `most_links` links: those of young items first, then the oldest change."""
        if len(self._waiting) > MOST_WAITING:
            most_links = sys.maxsize
        while most_links > 0 and self.changed_count:
            item = next(chain(self._young_rows, self._changed_rows))
            (self._young_rows if item in self._young_rows else self._changed_rows).pop(item)
            row = self._row(item)
            most_links -= 1 + len(row.neighbors)
            yield row

    def checkpoint(self) -> tuple[int, Positions]:
        """Return the offset of the first record with unpublished changes, and the positions before that record.

        Call it when the rows of `rows` are acknowledged.
        """
        offset = self.next_offset
        if self._changed_rows:
            offset = min(offset, next(iter(self._changed_rows.values())))
        offset = min(offset, min(self._young_rows.values(), default=offset))
        while self._waiting and self._waiting[0][0] < offset:
            _, source, position = self._waiting.popleft()
            self._checkpoint_positions[source] = position
        return offset, dict(self._checkpoint_positions)

    def _learn(self, offset: int, content: Updates, is_new: NDArray[np.bool_], codes: Indices) -> None:
        """Add the new events of a record to the rows that do not include it."""
        events, event_items = content.events, codes[content.events["item"]]
        if self._embeddings is not None:
            contexts = content.contexts()
            for number in np.flatnonzero(is_new & (events["is_own"] > 0)).tolist():
                self._embeddings.add(int(event_items[number]), codes[contexts[number]], float(events["weight"][number]))
        pairs = _pairs(content, event_items, codes)
        is_counted = is_new & (events["is_own"] > 0)
        is_due = is_new[pairs.events]
        if len(self._ahead):
            ahead = self._ahead[self._ahead_until > offset]
            is_counted &= ~np.isin(event_items, ahead)
            is_due &= ~np.isin(pairs.rows, ahead)
        pairs = Pairs(pairs.events[is_due], pairs.rows[is_due], pairs.others[is_due], pairs.shares[:, is_due])
        scales, start = np.zeros(len(events)), 0
        columns = (events["at_ms"].tolist(), events["weight"].tolist(), event_items.tolist(), is_counted.tolist())
        for index in np.flatnonzero(is_new).tolist():
            at_ms, weight, item, counts = (column[index] for column in columns)
            if self._table.rescales_at(at_ms):  # links are added before the sums are rescaled
                self._add(pairs, scales, start, index)
                start = index
            scales[index] = scale = self._table.scale_at(at_ms) * weight
            self.watermark = max(self.watermark, at_ms)
            if counts:
                self._links.add_events(item, scale)
                self._mark(item, offset, is_young=self._links.event_count(item) < YOUNG_EVENTS * scale)
        self._add(pairs, scales, start, len(events))
        for item in dict.fromkeys(pairs.rows.tolist()):
            self._mark(item, offset)

    def _add(self, pairs: Pairs, scales: Sums, start: int, end: int) -> None:
        """Add the links of a range of events."""
        part = slice(*np.searchsorted(pairs.events, (start, end)).tolist())
        self._links.add(pairs.rows[part], pairs.others[part], scales[pairs.events[part]] * pairs.shares[:, part])

    def _mark(self, item: int, offset: int, *, is_young: bool = False) -> None:
        """Note that a row has changed by a record, unless it has unpublished changes of earlier ones."""
        if is_young:
            self._young_rows.setdefault(item, self._changed_rows.pop(item, offset))
        elif item not in self._young_rows:
            self._changed_rows.setdefault(item, offset)

    def _row(self, item: int) -> ItemNeighbors:
        """Return the row of an item. What does not fit into a record is dropped here, too, as after a restart."""
        names = self._items.names
        others, sums = self._links.row(item)
        ids = [names[other] for other in others.tolist()]
        selection = strongest(ids, sums.sum(axis=0).tolist(), ROW_BYTES, each=_LINK_BYTES)
        if len(selection) < len(ids):
            self.omitted_links += len(ids) - len(selection)
            ids, others, sums = [ids[index] for index in selection], others[selection], sums[:, selection]
            self._links.put(item, others, sums, self._links.event_count(item))
        return ItemNeighbors(
            item_id=names[item],
            neighbors=ids,
            scores=sums[TOGETHER].tolist(),
            follows=sums[NEXT].tolist(),
            mass=self._links.event_count(item),
            reference=self._table.reference_ms or 0,
            watermark=self.watermark,
            updates_offset=self.next_offset,
        )


def _pairs(content: Updates, event_items: Indices, codes: Indices) -> Pairs:
    """Return the links of a record in the order of its events."""
    events, outgoing, incoming = content
    numbers = np.arange(len(events))
    in_events, out_events = np.repeat(numbers, events["incoming"]), np.repeat(numbers, events["outgoing"])
    owners = np.concatenate([in_events, out_events])
    rows = np.concatenate([codes[incoming["item"]], event_items[out_events]])
    others = np.concatenate([event_items[in_events], codes[outgoing["item"]]])
    together = TOGETHER_SHARES[np.concatenate([incoming["step"], outgoing["step"]])]
    follows = np.concatenate([incoming["quarters"] * _QUARTER, np.zeros(len(outgoing))])
    order = np.argsort(owners, kind="stable")
    return Pairs(owners[order], rows[order], others[order], np.stack([together, follows])[:, order])
