"""Compiled loops over the rows of sparse links, for sums of floats and of doubles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.compiled import F, compiled, inlined


def _compiled(signature: str) -> Callable[[F], F]:
    """Return a decorator that compiles a function for floats and doubles.

    Args:
        signature: Types of the result and the arguments; `real` stands for the type of the sums.
    """
    return compiled(list(dict.fromkeys(signature.replace("real", real) for real in ("f4", "f8"))))


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


@_compiled("void(f8[::1], i4[::1], real[:, ::1])")
def add_arrivals(arrivals: NDArray[np.float64], others: NDArray[np.int32], increments: NDArray[np.float64]) -> None:
    """Add the increments of links to the linked items, in place.

    Args:
        arrivals: (items,) sums.
        others: (m,) linked items.
        increments: (channels, m) increments of the links.
    """
    for channel in range(len(increments)):
        for pair in range(len(others)):
            arrivals[others[pair]] += increments[channel, pair]


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


@inlined
def _find(table: NDArray[np.int32], item: int) -> int:
    """Return the slot of an item in a hash table with linear probing: its own, or the free one where it would lie.

    Args:
        table: (slots, 2) an item and its index at each slot, or -1 and -1; the number of slots is a power of two.
        item: The item, from 0.
    """
    mask = len(table) - 1
    slot: int = np.int64(np.uint32(item) * np.uint32(0x9E3779B1) >> np.uint32(7)) & mask  # type: ignore[assignment]
    while table[slot, 0] != item and table[slot, 0] >= 0:
        slot = (slot + 1) & mask
    return slot


@inlined
def _new_table(most: int) -> NDArray[np.int32]:
    """Return a hash table without entries, at most half full with some number of items."""
    slots = 16
    while slots < 2 * most:
        slots *= 2
    return np.full((slots, 2), -1, np.int32)


@_compiled("void(i4[::1], real[::1], i8[::1], i4[::1], i4[::1], i4[::1], f4[:, ::1])")
def gather(
    ids: NDArray[np.int32],
    sums: NDArray[np.float64],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int32],
    items: NDArray[np.int32],
    others: NDArray[np.int32],
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
        links: (m, n) links.
    """
    table = _new_table(len(others))
    for column in range(len(others)):
        slot = _find(table, others[column])
        table[slot, 0], table[slot, 1] = others[column], column
    for number in range(len(items)):
        item = items[number]
        if 0 <= item < len(starts):
            for index in range(starts[item], starts[item] + lengths[item]):
                column = table[_find(table, ids[index]), 1]
                if column >= 0:
                    links[number, column] = sums[index]


_LINKED = "Tuple((i4[::1], f4[:, ::1], i4[:, ::1]))"
"""Types of linked items, their scores, and their hash table."""


@_compiled(f"{_LINKED}(i4[::1], real[:, ::1], i8[::1], i4[::1], i4[::1], i8[::1], f4[:, ::1], i8)")
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
    table, others, other_count = _new_table(links), np.empty(links, np.int32), 0
    totals = np.zeros((links, len(channels)), np.float32)
    active, factors = np.empty(len(channels), np.int64), np.empty(len(channels), np.float32)
    for number in range(len(items)):
        item, queries = items[number], 0
        for query in range(len(channels)):
            if weights[query, number]:
                active[queries], factors[queries] = query, weights[query, number]
                queries += 1
        if 0 <= item < len(starts):
            for index in range(starts[item], starts[item] + lengths[item]):
                if ids[index] < count:
                    slot = _find(table, ids[index])
                    if table[slot, 0] < 0:
                        table[slot, 0], table[slot, 1] = ids[index], other_count
                        others[other_count] = ids[index]
                        other_count += 1
                    place = table[slot, 1]
                    for each in range(queries):  # no slices here: they count references, at 10 ns each
                        query = active[each]
                        totals[place, query] += factors[each] * np.float32(sums[channels[query], index])
    scores = np.zeros((len(channels), other_count + 1), np.float32)
    for query in range(len(channels)):
        for index in range(other_count):
            scores[query, index] = totals[index, query]
    return others[:other_count].copy(), scores, table


@_compiled("i8[::1](i4[:, ::1], i4[::1])")
def locate(table: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return (m,) the index of each item in a hash table, or -1.

    Args:
        table: (slots, 2) the hash table.
        items: (m,) items.
    """
    indices = np.empty(len(items), np.int64)
    for number in range(len(items)):
        indices[number] = table[_find(table, items[number]), 1]
    return indices


@_compiled("i8[::1](f4[:, :], i8)")
def strongest(scores: NDArray[np.float32], limit: int) -> NDArray[np.int64]:
    """Return the indices of the highest positive scores of each query, in any order, those of all queries together.

    Args:
        scores: (queries, n) scores.
        limit: Number of indices of each query, at most; from 1.
    """
    indices, end = np.empty(len(scores) * limit, np.int64), 0
    for query in range(len(scores)):
        row, heap = scores[query], indices[end : end + limit]  # a heap with the lowest score first
        size = 0
        for index in range(len(row)):
            score = row[index]
            if not score > 0.0 or (size == limit and score <= row[heap[0]]):
                continue
            if size < limit:  # move up from a new leaf
                place = size
                size += 1
                while place and row[heap[(place - 1) // 2]] > score:
                    heap[place] = heap[(place - 1) // 2]
                    place = (place - 1) // 2
            else:  # move down from the root
                place, child = 0, 1
                while child < size:
                    if child + 1 < size and row[heap[child + 1]] < row[heap[child]]:
                        child += 1
                    if row[heap[child]] >= score:
                        break
                    heap[place] = heap[child]
                    place, child = child, 2 * child + 1
            heap[place] = index
        end += size
    return indices[:end].copy()
