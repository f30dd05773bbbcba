"""Evaluation protocols: the order of learning and ranking over a stream.

prequential-strict   Replay the whole stream. Events of one user at one time form a group; each positive of a group in
                     the test split is a test event, and all are ranked before any of the group is learned.
prequential          The same, event by event.
global-split         Learn everything before the test split. Each user with 5 events before it and a positive in it is
                     one case; the relevant items are all those positives.
leave-last-out       Learn everything but each user's last event, which is the target. Every event is an interaction.
                     This leaks other users' future and serves only for comparison with the literature.

The test split is the last 20 % of the events, the validation split the 20 % before, without access to the test split;
the split `all` is the whole stream.
Where items do not repeat, a positive on an item that the user has acted on before is no test event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evaluation.protocols.stream import Stream

Indices = NDArray[np.intp]
Part = Literal["test", "validation", "all"]

PARTS: dict[Part, tuple[float, float]] = {"test": (0.8, 1.0), "validation": (0.6, 0.8), "all": (0.0, 1.0)}
"""Shares of the events at which each split begins and ends."""
_TRAIN_EVENTS = 5
"""Least number of a user's training events in global-split."""
_BATCH = 512
"""Largest number of events learned at once."""


class Rank(NamedTuple):
    """Rank a user's targets within one list."""

    targets: Indices
    at_ms: int
    together: bool = False
    """Whether the targets form one case, rather than one case each."""


class Learn(NamedTuple):
    """Learn the events at these indices, in this order."""

    indices: Indices


Step: TypeAlias = Rank | Learn


def bounds(stream: Stream, part: Part) -> tuple[int, int]:
    """Return the index of the first event of a split, and of the first one after it."""
    first, after = PARTS[part]
    return int(len(stream) * first), int(len(stream) * after)


def strict(stream: Stream, part: Part) -> Iterator[Step]:
    """Yield the steps of prequential-strict."""
    start, end = bounds(stream, part)
    group = _groups(stream, end)
    order = np.argsort(group, kind="stable")
    edges = np.concatenate(([0], np.flatnonzero(np.diff(group[order])) + 1, [end]))
    yield from _replay(stream, start, order, edges)


def per_event(stream: Stream, part: Part) -> Iterator[Step]:
    """Yield the steps of prequential."""
    start, end = bounds(stream, part)
    yield from _replay(stream, start, np.arange(end), np.arange(end + 1))


def global_split(stream: Stream, part: Part) -> Iterator[Step]:
    """Yield the steps of global-split."""
    start, end = bounds(stream, part)
    yield from _learn(np.arange(start))
    event_counts = np.bincount(stream.user[:start], minlength=len(stream.users))
    targets = start + np.flatnonzero(_targets(stream)[start:end])
    targets = targets[event_counts[stream.user[targets]] >= _TRAIN_EVENTS]
    order = targets[np.argsort(stream.user[targets], kind="stable")]
    for case in _runs(order, stream.user[order]):
        yield Rank(case, int(stream.at_ms[start - 1]), together=True)


def leave_last_out(stream: Stream, part: Part) -> Iterator[Step]:
    """Yield the steps of leave-last-out; validation omits the last event and ranks the one before."""
    order = np.argsort(stream.user, kind="stable")
    users = _runs(order, stream.user[order])
    back = 1 if part == "test" else 2
    targets = [user_events[-back] for user_events in users if len(user_events) > back]
    unseen = np.zeros(len(stream), np.bool_)
    unseen[[index for user_events in users for index in user_events[-back:]]] = True
    yield from _learn(np.flatnonzero(~unseen))
    for target in sorted(targets):
        if stream.repeats or stream.fresh[target]:
            yield Rank(np.array([target], np.intp), int(stream.at_ms[target]))


PROTOCOLS: dict[str, Callable[[Stream, Part], Iterator[Step]]] = {
    "prequential-strict": strict,
    "prequential": per_event,
    "global-split": global_split,
    "leave-last-out": leave_last_out,
}
WEIGHTLESS = frozenset({"leave-last-out"})
"""Protocols in which every event has the same weight, regardless of its rating."""


def _targets(stream: Stream) -> NDArray[np.bool_]:
    return stream.positive if stream.repeats else stream.positive & stream.fresh


def _groups(stream: Stream, end: int) -> Indices:
    """Return, for each event, the index of the first one of its user at its time."""
    moment = np.concatenate(([0], np.cumsum(np.diff(stream.at_ms[:end]) > 0)))[:end]
    _, first, group = np.unique(moment * len(stream.users) + stream.user[:end], return_index=True, return_inverse=True)
    return np.asarray(first[group], np.intp)


def _replay(stream: Stream, start: int, order: Indices, edges: Indices) -> Iterator[Step]:
    """Yield the steps of the groups between the edges of an order: rank the test events, then learn the group."""
    ranked = _targets(stream)[order] & (order >= start)
    waiting = 0
    for begin, end in pairwise(edges.tolist()):
        within = ranked[begin:end]
        if within.any():
            if waiting < begin:
                yield Learn(order[waiting:begin])
            yield Rank(order[begin:end][within], int(stream.at_ms[order[begin]]))
            yield Learn(order[begin:end])
            waiting = end
        elif end - waiting >= _BATCH:
            yield Learn(order[waiting:end])
            waiting = end
    if waiting < len(order):
        yield Learn(order[waiting:])


def _learn(indices: Indices) -> Iterator[Step]:
    for at in range(0, len(indices), _BATCH):
        yield Learn(indices[at : at + _BATCH])


def _runs(order: Indices, key: NDArray[np.int32]) -> list[Indices]:
    """Return an order split where its key changes."""
    return np.split(order, np.flatnonzero(np.diff(key)) + 1) if len(order) else []
