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
        starts: (items,) first place of each row.
        lengths: (items,) links of each row.
        rooms: (items,) places of each row.
        rows: (m,) items of the rows.
        others: (m,) linked items.
        increments: (channels, m) increments of the sums.
        number: First pair to add.
    """
    for pair in range(number, len(rows)):
        if not increments[:, pair].any():
            continue
        row, other = rows[pair], others[pair]
        place, end = starts[row], starts[row] + lengths[row]
        while place < end and ids[place] != other:
            place += 1
        if place == end:
            if lengths[row] == rooms[row]:
                return pair
            ids[place] = other
            lengths[row] += 1
            for channel in range(len(sums)):
                sums[channel, place] = increments[channel, pair]
        else:
            for channel in range(len(sums)):
                sums[channel, place] += increments[channel, pair]
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
        starts: (items,) first place of each row.
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
                for place in range(np.uint64(starts[item]), np.uint64(starts[item] + lengths[item])):
                    other = np.uint32(ids[place])
                    if other < count:
                        row[other] += weight * np.float32(sums[place])


@_compiled("void(i4[::1], real[::1], i8[::1], i4[::1], i4[::1], i4[::1], f4[:, ::1])")
def gather(
    ids: NDArray[np.int32],
    sums: NDArray[np.float64],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int32],
    items: NDArray[np.int32],
    columns: NDArray[np.int32],
    links: NDArray[np.float32],
) -> None:
    """Copy the links of rows to some items, in place.

    Args:
        ids: (room,) ids of all rows.
        sums: (room,) sums of all rows.
        starts: (items,) first place of each row.
        lengths: (items,) links of each row.
        items: (m,) items of the rows; those without a row are left out.
        columns: (items,) column of each linked item, negative for none.
        links: (m, columns) links.
    """
    for number in range(len(items)):
        item = items[number]
        if 0 <= item < len(starts):
            for place in range(starts[item], starts[item] + lengths[item]):
                column = columns[ids[place]]
                if column >= 0:
                    links[number, column] = sums[place]
