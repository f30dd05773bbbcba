"""Compiled loops over the rows of sparse links, for sums of floats and of doubles.

Numba compiles them when they are first imported, and keeps the machine code beside this file or in the user's cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., object])


def _compiled(signature: str) -> Callable[[F], F]:
    """Return a decorator that compiles a function for floats and doubles, to run without the interpreter's lock.

    Args:
        signature: Types of the result and the arguments; `real` stands for the type of the sums.
    """
    signatures = [signature.replace("real", real) for real in ("f4", "f8")]

    def compiled(function: F) -> F:
        try:
            kernel: F = njit(signatures, nogil=True, cache=True)(function)
        except RuntimeError:  # no folder for the machine code can be written
            kernel = njit(signatures, nogil=True)(function)
        return kernel

    return compiled


@njit(inline="always")
def _find(table: NDArray[np.int32], others: NDArray[np.int32], item: int, mask: int) -> int:
    """Return the slot of an item in a hash table with linear probing: its own, or the free one where it would lie.

    Args:
        table: (slots,) an index of `others`, or -1, at each slot.
        others: Items.
        item: The item.
        mask: The number of slots, a power of two, minus 1.
    """
    slot = np.int64(np.uint32(item) * np.uint32(0x9E3779B1) >> np.uint32(7)) & mask
    while table[slot] >= 0 and others[table[slot]] != item:
        slot = (slot + 1) & mask
    return slot


@_compiled("i8(i4[::1], real[:, ::1], i8[::1], i4[::1], i4[::1], i4[::1], i4[::1], real[:, ::1], i8)")
def add(
    ids: NDArray[np.int32],
    sums: NDArray[np.float64],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int32],
    rooms: NDArray[np.int32],
    rows: NDArray[np.int32],
    others: NDArray[np.int32],
    increments: NDArray[np.float64],
    number: int,
) -> int:
    """Add to links pairwise, in place, until a row is full; return the number of the first pair not added.

    Args:
        ids: (room,) ids of all rows.
        sums: (channels, room) sums of all rows.
        starts: (items,) index of the first link of each row.
        lengths: (items,) links of each row.
        rooms: (items,) room of each row, in links.
        rows: (m,) items of the rows.
        others: (m,) linked items.
        increments: (channels, m) increments of the sums.
        number: First pair to add.
    """
    for pair in range(number, len(rows)):
        if not increments[:, pair].any():
            continue
        row, other = rows[pair], others[pair]
        index, end = starts[row], starts[row] + lengths[row]
        while index < end and ids[index] != other:
            index += 1
        if index == end:
            if lengths[row] == rooms[row]:
                return pair
            ids[index] = other
            lengths[row] += 1
            for channel in range(len(sums)):
                sums[channel, index] = increments[channel, pair]
        else:
            for channel in range(len(sums)):
                sums[channel, index] += increments[channel, pair]
    return len(rows)


@_compiled("void(i4[::1], real[::1], i8[::1], i4[::1], i4[::1], f4[:, ::1], f4[:, ::1])")
def accumulate(
    ids: NDArray[np.int32],
    sums: NDArray[np.float64],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int32],
    items: NDArray[np.int32],
    weights: NDArray[np.float32],
    scores: NDArray[np.float32],
) -> None:
    """Add the weighted sums of rows to scores, in place; links to items beyond the scores are left out.

    Args:
        ids: (room,) ids of all rows.
        sums: (room,) sums of all rows.
        starts: (items,) index of the first link of each row.
        lengths: (items,) links of each row.
        items: (m,) items of the rows; those without a row are left out.
        weights: (queries, m) weights of the rows.
        scores: (queries, count) scores.
    """
    count = np.uint32(scores.shape[1])  # unsigned indices need no check for negative ones
    for query in range(len(weights)):
        row = scores[query]
        for number in range(len(items)):
            item, weight = items[number], weights[query, number]
            if 0 <= item < len(starts):
                for index in range(np.uint64(starts[item]), np.uint64(starts[item] + lengths[item])):
                    other = np.uint32(ids[index])
                    if other < count:
                        row[other] += weight * np.float32(sums[index])


@_compiled("void(i4[::1], real[::1], i8[::1], i4[::1], i4[::1], i4[::1], i4[::1], f4[:, ::1])")
def gather(
    ids: NDArray[np.int32],
    sums: NDArray[np.float64],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int32],
    items: NDArray[np.int32],
    others: NDArray[np.int32],
    table: NDArray[np.int32],
    links: NDArray[np.float32],
) -> None:
    """Copy the links of rows to some items, in place.

    Args:
        ids: (room,) ids of all rows.
        sums: (room,) sums of all rows.
        starts: (items,) index of the first link of each row.
        lengths: (items,) links of each row.
        items: (m,) items of the rows; those without a row are left out.
        others: (n,) distinct linked items.
        table: (slots,) -1 everywhere, a power of two more than `others`; filled with their indices.
        links: (m, n) links.
    """
    mask = len(table) - 1
    for column in range(len(others)):
        table[_find(table, others, others[column], mask)] = column
    for number in range(len(items)):
        item = items[number]
        if 0 <= item < len(starts):
            for index in range(starts[item], starts[item] + lengths[item]):
                column = table[_find(table, others, ids[index], mask)]
                if column >= 0:
                    links[number, column] = sums[index]


@_compiled(
    "Tuple((i4[::1], f4[:, ::1], i4[::1]))(i4[::1], real[:, ::1], i8[::1], i4[::1], i4[::1], i8[::1], f4[:, ::1], i8)"
)
def accumulate_sparse(
    ids: NDArray[np.int32],
    sums: NDArray[np.float64],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int32],
    items: NDArray[np.int32],
    channels: NDArray[np.int64],
    weights: NDArray[np.float32],
    count: int,
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]:
    """Add up the weighted sums of rows by linked item.

    Args:
        ids: (room,) ids of all rows.
        sums: (channels, room) sums of all rows.
        starts: (items,) index of the first link of each row.
        lengths: (items,) links of each row.
        items: (m,) items of the rows; those without a row are left out.
        channels: (queries,) channel of each query.
        weights: (queries, m) weights of the rows.
        count: Number of items; links to items beyond them are left out.

    Returns:
        (n,) linked items, in the order of their first links; (queries, n + 1) their scores, then zeros; the hash table
        of the items.
    """
    links = 0
    for item in items:
        if 0 <= item < len(starts):
            links += lengths[item]
    slots = 16
    while slots < 2 * links:
        slots *= 2
    table, others = np.full(slots, -1, np.int32), np.empty(links, np.int32)
    totals = np.zeros((links, len(channels)), np.float32)
    found = 0
    for number in range(len(items)):
        item = items[number]
        if 0 <= item < len(starts):
            for index in range(starts[item], starts[item] + lengths[item]):
                other = ids[index]
                if other < count:
                    slot = _find(table, others, other, slots - 1)
                    if table[slot] < 0:
                        table[slot] = found
                        others[found] = other
                        found += 1
                    row = totals[table[slot]]
                    for query in range(len(channels)):
                        row[query] += weights[query, number] * np.float32(sums[channels[query], index])
    scores = np.zeros((len(channels), found + 1), np.float32)
    for query in range(len(channels)):
        for index in range(found):
            scores[query, index] = totals[index, query]
    return others[:found].copy(), scores, table


@njit("void(i4[::1], i4[::1], i4[::1], i8[::1])", nogil=True, cache=True)
def locate(
    table: NDArray[np.int32], others: NDArray[np.int32], items: NDArray[np.int32], indices: NDArray[np.int64]
) -> None:
    """Write the index of each item among the linked items, or their number for none.

    Args:
        table: (slots,) the hash table of the linked items.
        others: (n,) the linked items.
        items: (m,) items.
        indices: (m,) indices.
    """
    mask = len(table) - 1
    for number in range(len(items)):
        index = table[_find(table, others, items[number], mask)]
        indices[number] = index if index >= 0 else len(others)
