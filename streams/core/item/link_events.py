"""Link events: what interactions change in the links between items, as records for the partitions of the items.

A link event is an interaction with its user's items before it. It changes the row of its own item and the rows of those
before it, which other workers hold. `link_updates` makes one record for each partition that owns any of the rows, from
the events of a batch; `unpack` reads it. The records hold all that `DecayedCooccurrence.learn` computes with, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.neighbours.cooccurrence import FOLLOW_SHARES, NO_STEP, WEAK, WINDOW
from models.weight import event_weight, is_positive
from schemas.limit import FIRST_MS, LAST_MS, OutOfRangeError
from schemas.types import Interaction, LinkUpdates
from streams.core.byte_budget import size, total
from streams.core.params import UserParams
from streams.core.position import Position
from streams.core.user import day_limits
from streams.core.user.user_state import UserState

EVENTS = 1_000
"""Largest number of events in a record."""
EVENT = np.dtype(
    [
        *(("offset", "<i8"), ("append_ms", "<i8"), ("at_ms", "<i8"), ("weight", "<f8")),
        *(("item", "<u2"), ("is_own", "u1"), ("outgoing", "u1"), ("incoming", "u1")),
    ]
)
OUTGOING = np.dtype([("item", "<u2"), ("step", "u1")])
INCOMING = np.dtype([("item", "<u2"), ("step", "u1"), ("quarters", "<u2")])
_FOLLOW_QUARTERS = 4.0 * FOLLOW_SHARES
_RECORD_BYTES = 512 << 10
_RECORD_ITEMS = 1 << 16
"""Items that a number of two bytes can name."""
_ID_BYTES = 2
"""Bytes of the length prefix of an id."""


class LinkEvent(NamedTuple):
    """An interaction whose item is linked with its user's items before it."""

    item_id: str
    position: Position
    """The position of the interaction."""
    at_ms: int
    weight: float
    """The weight that links gain at most, from 0 to 1."""
    window: list[tuple[str, float, int]]
    """The user's (item, weight, time in ms) before it, newest first."""


class Updates(NamedTuple):
    """The content of a record of link updates."""

    events: NDArray[np.void]
    """(n,) entries of `EVENT`."""
    outgoing: NDArray[np.void]
    """(k,) entries of `OUTGOING`, in the order of their events."""
    incoming: NDArray[np.void]
    """(m,) entries of `INCOMING`, in the order of their events."""

    def contexts(self) -> list[NDArray[np.uint16]]:
        """Return for each event the numbers of the items before its own, newest first.

        There are none for a repeated item, and for one of another partition.
        """
        counts = self.events["outgoing"].astype(np.int64)
        order = np.lexsort((self.outgoing["step"], np.repeat(np.arange(len(counts)), counts)))
        return np.split(self.outgoing["item"][order], np.cumsum(counts)[:-1])


def link_event(state: UserState, event: Interaction, position: Position, params: UserParams) -> LinkEvent | None:
    """Return the link event of an interaction that will be folded; None for one without an item.

    Args:
        state: The state of its user before the fold.
        event: The interaction.
        position: Its position in its topic.
        params: The parameters of the fold.
    """
    if event.item_id is None:
        return None
    is_liked = is_positive(event_weight(event, params.rating_scale))
    share = day_limits.share(state, event.item_id, event.occurred_at)
    window = state.recent[-WINDOW:][::-1]
    return LinkEvent(event.item_id, position, event.occurred_at, share * (1.0 if is_liked else WEAK), window)


def link_updates(events: Sequence[LinkEvent], partition_of: Callable[[str], int]) -> Iterator[LinkUpdates]:
    """Yield the records of events: one for each partition that owns any of the rows, or more at the size limit.

    Args:
        events: Events of one source partition, in its order.
        partition_of: Returns the partition of an item.
    """
    for start in range(0, len(events), EVENTS):
        yield from _LinkColumns(events[start : start + EVENTS], partition_of).records()


def unpack(updates: LinkUpdates) -> Updates:
    """Return the content of a record.

    Raises:
        OutOfRangeError: the columns do not fit together.
    """
    events, outgoing, incoming = (
        np.frombuffer(column, dtype)
        for column, dtype in ((updates.events, EVENT), (updates.outgoing, OUTGOING), (updates.incoming, INCOMING))
    )
    for name, entries in (("outgoing", outgoing), ("incoming", incoming)):
        if events[name].sum(dtype=np.int64) != len(entries):
            raise OutOfRangeError(name, "must have as many entries as the events state")
    for column in (events["item"], outgoing["item"], incoming["item"]):
        if int(column.max(initial=0)) >= len(updates.items):
            raise OutOfRangeError("items", "must have the items of all numbers")
    weights, times_ms = events["weight"], events["at_ms"]
    if not ((weights >= 0.0) & (weights <= 1.0)).all():
        raise OutOfRangeError("events", "must have weights from 0 to 1")
    if not ((times_ms >= FIRST_MS) & (times_ms <= LAST_MS)).all():
        raise OutOfRangeError("events", "must have times in ms since the epoch")
    return Updates(events, outgoing, incoming)


class _LinkColumns:
    """The links of a batch of events, as columns over all of them."""

    def __init__(self, events: Sequence[LinkEvent], partition_of: Callable[[str], int]) -> None:
        self._source_partition = events[0].position.partition
        window = list(chain.from_iterable(event.window for event in events))
        names = [event.item_id for event in events]
        names += [name for name, _, _ in window]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        codes = np.fromiter(map(numbers.__getitem__, names), np.int64, len(names))
        self._items, others = codes[: len(events)], codes[len(events) :]
        times_ms = np.array([at_ms for _, _, at_ms in window], np.int64)
        self._events = np.zeros(len(events), EVENT)
        for name, values in (
            ("offset", [event.position.offset for event in events]),
            ("append_ms", [event.position.append_ms for event in events]),
            ("at_ms", [event.at_ms for event in events]),
            ("weight", [event.weight for event in events]),
        ):
            self._events[name] = values
        lengths = np.array([len(event.window) for event in events])
        starts = np.cumsum(lengths) - lengths
        owners = np.repeat(np.arange(len(events)), lengths)
        steps = np.arange(len(window)) - starts[owners]
        groups_back = _groups_back(times_ms, self._events["at_ms"][owners], steps == 0)
        quarters = _FOLLOW_QUARTERS[np.minimum(groups_back, len(_FOLLOW_QUARTERS) - 1)]
        # Of repeated items, the newest occurrence counts, and each one that is followed; compare `event_links`.
        _, newest, where = np.unique(owners * len(numbers) + others, return_index=True, return_inverse=True)
        owners, others, steps = owners[newest], others[newest], steps[newest]
        quarters = np.bincount(where, quarters, minlength=len(newest)).astype(np.float64)
        is_return = np.zeros(len(events), bool)
        is_return[owners[others == self._items[owners]]] = True
        is_directed = is_return[owners]
        steps[is_directed] = NO_STEP
        is_link = ~is_directed | (quarters > 0.0)
        self._owners, self._others = owners[is_link], others[is_link]
        """The event of each link, and the item before it."""
        self._steps, self._quarters = steps[is_link], quarters[is_link]
        self._names = list(numbers)
        self._partitions = np.fromiter(map(partition_of, self._names), np.int64, len(self._names))

    def records(self) -> Iterator[LinkUpdates]:
        """Yield the records, partition by partition."""
        for partition in np.unique(self._partitions).tolist():
            is_own = self._partitions == partition
            own_events = is_own[self._items]
            own_events[self._owners[is_own[self._others]]] = True
            indices = np.flatnonzero(own_events)
            if len(indices):
                yield from self._records(is_own, indices)

    def _records(self, is_own: NDArray[np.bool_], indices: NDArray[np.intp]) -> Iterator[LinkUpdates]:
        """Yield the records of some events for the items of one partition, in halves while they are too large."""
        record = self._record(is_own, indices)
        if len(indices) > 1 and (_bytes(record) > _RECORD_BYTES or len(record.items) > _RECORD_ITEMS):
            yield from self._records(is_own, indices[: len(indices) // 2])
            yield from self._records(is_own, indices[len(indices) // 2 :])
        else:
            yield record

    def _record(self, is_own: NDArray[np.bool_], indices: NDArray[np.intp]) -> LinkUpdates:
        is_selected = np.zeros(len(self._events), bool)
        is_selected[indices] = True
        links = np.flatnonzero(is_selected[self._owners])
        is_outgoing = is_own[self._items[self._owners[links]]] & (self._steps[links] != NO_STEP)
        out_links, in_links = links[is_outgoing], links[is_own[self._others[links]]]
        items = (self._items[indices], self._others[out_links], self._others[in_links])
        item_codes, numbers = np.unique(np.concatenate(items), return_inverse=True)
        event_items, out_items, in_items = np.split(numbers, np.cumsum([len(indices), len(out_links)]))
        events = self._events[indices]
        events["item"], events["is_own"] = event_items, is_own[self._items[indices]]
        events["outgoing"] = np.bincount(self._owners[out_links], minlength=len(self._events))[indices]
        events["incoming"] = np.bincount(self._owners[in_links], minlength=len(self._events))[indices]
        outgoing, incoming = np.empty(len(out_links), OUTGOING), np.empty(len(in_links), INCOMING)
        outgoing["item"], outgoing["step"] = out_items, self._steps[out_links]
        incoming["item"], incoming["step"] = in_items, self._steps[in_links]
        incoming["quarters"] = self._quarters[in_links]
        names = self._names
        return LinkUpdates(
            item_id=names[int(item_codes[is_own[item_codes]][0])],
            source_partition=self._source_partition,
            items=[names[code] for code in item_codes.tolist()],
            events=events.tobytes(),
            outgoing=outgoing.tobytes(),
            incoming=incoming.tobytes(),
        )


def _groups_back(
    times_ms: NDArray[np.int64], now_ms: NDArray[np.int64], is_first: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the distance of earlier events from the present ones in timestamp groups, as `timestamp_groups_back`.

    Args:
        times_ms: (n,) times of earlier events, newest first for each present one.
        now_ms: (n,) times of the present events.
        is_first: (n,) whether an earlier event is the newest one.
    """
    later_ms = np.where(is_first, now_ms, np.roll(times_ms, 1))
    changes = np.cumsum(times_ms != later_ms)
    firsts = np.flatnonzero(is_first)
    before = changes[firsts] - (times_ms[firsts] != later_ms[firsts])
    groups_back: NDArray[np.int64] = changes - np.repeat(before, np.diff(np.append(firsts, len(times_ms))))
    return groups_back


def _bytes(record: LinkUpdates) -> int:
    """Return the size of a record in bytes."""
    columns = len(record.events) + len(record.outgoing) + len(record.incoming)
    return size(record.item_id) + total(record.items) + _ID_BYTES * len(record.items) + columns
