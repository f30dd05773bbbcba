"""Evaluation protocols: the order of learning and ranking over a stream.

prequential-strict   Replay the whole stream. Events of one user at one time form a group; each positive of a group in
                     the test split is a test event, and all are ranked before any of the group is learned.
prequential          The same, event by event.
global-split         Learn everything before the test split. Each user with 5 events before it and a positive in it is
                     one case; the relevant items are all those positives.
leave-last-out       Learn everything but each user's last event, which is the target. Every event is an interaction.
                     This leaks other users' future and serves only for comparison with the literature.

as-served            Rank the test events of prequential-strict by the feed that a client would have read at that time:
                     it was made after the user's previous event (`evaluation.protocols.as_served`).
successive           The protocol of "Time to Split" (RecSys 2025): models are frozen at the 0.9 quantile of the times,
                     and each later event is ranked on its user's live history (`evaluation.protocols.successive`).
successive-live      The same with models that go on learning.

The test split is the last 20 % of the events, the validation split the 20 % before, without access to the test split;
the split `all` is the whole stream. The protocols of "Time to Split" have splits of their own.
Where items do not repeat, a positive on an item that the user has acted on before is no test event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from evaluation.protocols.as_served import as_served
from evaluation.protocols.split import SPLITS, Split, split_bounds
from evaluation.protocols.step import BATCH, Indices, Learn, Rank, Step, in_batches, is_target, timestamp_groups
from evaluation.protocols.stream import Stream
from evaluation.protocols.successive import five_core, holdout_bounds, successive, successive_live

_TRAIN_EVENTS = 5
"""Least number of a user's training events in global-split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """An order of learning and ranking."""

    steps: Callable[..., Iterator[Step]]
    """Returns the steps for a stream and a split; for a served protocol also for its delays."""
    prepare: Callable[[Stream], Stream] = lambda stream: stream
    """Returns the stream to replay."""
    bounds: Callable[[Stream, Split], tuple[int, int]] = split_bounds
    """Returns the index of the first event of a split, and of the first one after it."""
    splits: tuple[Split, ...] = tuple(SPLITS)
    is_weightless: bool = False
    """Whether every event has the same weight, regardless of its rating."""
    has_live_histories: bool = False
    """Whether users' histories go on while models lag behind or are frozen, so that queries carry them."""
    is_served: bool = False
    """Whether lists are made as a worker makes feeds, with the delays of a pipeline."""
    compared_with: str | None = None
    """Name of another protocol on the same test events, whose figures are reported beside its own."""


def strict(stream: Stream, split: Split) -> Iterator[Step]:
    """Yield the steps of prequential-strict."""
    start, end = split_bounds(stream, split)
    yield from _replay(stream, start, *timestamp_groups(stream, end))


def per_event(stream: Stream, split: Split) -> Iterator[Step]:
    """Yield the steps of prequential."""
    start, end = split_bounds(stream, split)
    yield from _replay(stream, start, np.arange(end), np.arange(end + 1))


def global_split(stream: Stream, split: Split) -> Iterator[Step]:
    """Yield the steps of global-split."""
    start, end = split_bounds(stream, split)
    yield from in_batches(Learn, np.arange(start))
    event_counts = np.bincount(stream.user[:start], minlength=len(stream.users))
    targets = start + np.flatnonzero(is_target(stream)[start:end])
    targets = targets[event_counts[stream.user[targets]] >= _TRAIN_EVENTS]
    order = targets[np.argsort(stream.user[targets], kind="stable")]
    for case in _runs(order, stream.user[order]):
        yield Rank(case, int(stream.at_ms[start - 1]), is_one_case=True)


def leave_last_out(stream: Stream, split: Split) -> Iterator[Step]:
    """Yield the steps of leave-last-out; validation omits the last event and ranks the one before."""
    order = np.argsort(stream.user, kind="stable")
    users = _runs(order, stream.user[order])
    back = 1 if split == "test" else 2
    targets = [user_events[-back] for user_events in users if len(user_events) > back]
    is_holdout = np.zeros(len(stream), np.bool_)
    is_holdout[[index for user_events in users for index in user_events[-back:]]] = True
    yield from in_batches(Learn, np.flatnonzero(~is_holdout))
    for target in sorted(targets):
        if stream.repeats or stream.fresh[target]:
            yield Rank(np.array([target], np.intp), int(stream.at_ms[target]))


PROTOCOLS: dict[str, Protocol] = {
    "prequential-strict": Protocol(steps=strict),
    "prequential": Protocol(steps=per_event),
    "as-served": Protocol(steps=as_served, has_live_histories=True, is_served=True, compared_with="prequential-strict"),
    "successive": Protocol(
        steps=successive,
        prepare=five_core,
        bounds=holdout_bounds,
        splits=("test", "validation"),
        has_live_histories=True,
        compared_with="successive-live",
    ),
    "successive-live": Protocol(
        steps=successive_live, prepare=five_core, bounds=holdout_bounds, splits=("test", "validation")
    ),
    "global-split": Protocol(steps=global_split),
    "leave-last-out": Protocol(steps=leave_last_out, is_weightless=True),
}


def label_of(model: str, protocol: str) -> str:
    """Return the name of a model in a report of several protocols, under another than the report's own."""
    return f"{model} ({protocol})"


def _replay(stream: Stream, start: int, order: Indices, edges: Indices) -> Iterator[Step]:
    """Yield the steps of the groups between the edges of an order: rank the test events, then learn the group."""
    is_ranked = is_target(stream)[order] & (order >= start)
    waiting = 0
    for begin, end in pairwise(edges.tolist()):
        within = is_ranked[begin:end]
        if within.any():
            if waiting < begin:
                yield Learn(order[waiting:begin])
            yield Rank(order[begin:end][within], int(stream.at_ms[order[begin]]))
            yield Learn(order[begin:end])
            waiting = end
        elif end - waiting >= BATCH:
            yield Learn(order[waiting:end])
            waiting = end
    if waiting < len(order):
        yield Learn(order[waiting:])


def _runs(order: Indices, key: NDArray[np.int32]) -> list[Indices]:
    """Return an order split where its key changes."""
    return np.split(order, np.flatnonzero(np.diff(key)) + 1) if len(order) else []
