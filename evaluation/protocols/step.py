"""Steps of a protocol: what is learned, and what is ranked, in order.

An event has two effects: models learn it, and its user's history goes on with it. `Learn` has both. Where models lag
behind or are frozen, the history goes on first (`Observe`), and models learn the event later (`Train`) or never.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evaluation.protocols.stream import Stream

Indices = NDArray[np.intp]
BATCH = 512
"""Largest number of events learned at once."""


class Rank(NamedTuple):
    """Rank a user's targets within one list."""

    targets: Indices
    at_ms: int
    """Time of the ranking."""
    is_one_case: bool = False
    """Whether the targets form one case, rather than one case each."""
    chosen_at_ms: int | None = None
    """Time at which the user chooses the targets, if it is later than the ranking."""


class Learn(NamedTuple):
    """Learn the events at these indices, in this order; the histories of their users go on with them."""

    indices: Indices


class Observe(NamedTuple):
    """Continue the histories of users with these events; models do not learn them yet."""

    indices: Indices


class Train(NamedTuple):
    """Have the models learn these events; the histories of their users stay as they are."""

    indices: Indices


Step: TypeAlias = Rank | Learn | Observe | Train


def in_batches(kind: type[Learn] | type[Observe] | type[Train], indices: Indices) -> Iterator[Step]:
    """Yield a step of a kind for each batch of indices."""
    for at in range(0, len(indices), BATCH):
        yield kind(indices[at : at + BATCH])


def is_target(stream: Stream) -> NDArray[np.bool_]:
    """Return (events,) whether an event may be a test event: a positive, the first on its item unless items repeat."""
    return stream.positive if stream.repeats else stream.positive & stream.fresh


def timestamp_groups(stream: Stream, end: int) -> tuple[Indices, Indices]:
    """Return the events before `end` by timestamp group: those of one user at one time.

    Returns:
        The indices of the events, group by group in the order of their first events; and the positions in it at which
        groups begin, with the end of the last one.
    """
    timestamps = np.concatenate(([0], np.cumsum(np.diff(stream.at_ms[:end]) > 0)))[:end]
    _, first, group = np.unique(
        timestamps * len(stream.users) + stream.user[:end], return_index=True, return_inverse=True
    )
    order = np.argsort(first[group], kind="stable")
    edges = np.concatenate(([0], np.flatnonzero(np.diff(first[group][order])) + 1, [end]))
    return order, edges
