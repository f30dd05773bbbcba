"""The protocol successive of "Time to Split" (Gusak et al., RecSys 2025), for comparison with its tables.

Details follow the authors' code (github.com/monkey0head/time-to-split):

    data      every rating is an interaction, whatever its value. Of consecutive events of a user on one item the first
              stays. Users and items with fewer than 5 events are dropped, again and again until none is left. All this
              happens before the split, over the whole data set.
    split     at the 0.9 quantile of the times. Events at or before it are learned, of users with two of them.
              Validation: the same once more, within the training data.
    targets   each event after the split, with all earlier events of its user as the history; a user's very first event
              is no target. The whole catalogue is ranked, without the user's items unless items repeat. A target that
              the user has acted on before stays a target, and a miss.
    models    frozen at the split (`successive`), or learning each event after its ranking (`successive-live`).

Metrics are means over all targets ("global" in the authors' tables).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluation.protocols.split import Split
from evaluation.protocols.step import Indices, Learn, Observe, Rank, Step, in_batches
from evaluation.protocols.stream import Stream
from models.base import ModelEvent
from models.vocabulary import Vocabulary

_CORE = 5
"""Least number of events of a user and of an item."""
_QUANTILE = 0.9
_TRAINED = 2
"""Least number of a user's events before the split for the models to learn them."""


class _Holdout(NamedTuple):
    """Indices of the events before and after the split."""

    before: Indices
    after: Indices


def five_core(stream: Stream) -> Stream:
    """Return the 5-core of a stream, with every event as an interaction of the same weight."""
    core = _without_repeats(stream, np.arange(len(stream)))
    while True:
        frequent = core[_counts(stream.user, core) >= _CORE]
        frequent = frequent[_counts(stream.item, frequent) >= _CORE]
        if len(frequent) == len(core):
            return _interactions(stream, core)
        core = _without_repeats(stream, frequent)


def successive(stream: Stream, split: Split) -> Iterator[Step]:
    """Yield the steps of successive; the stream must be the 5-core."""
    return _steps(stream, split, Observe)


def successive_live(stream: Stream, split: Split) -> Iterator[Step]:
    """Yield the steps of successive-live; the stream must be the 5-core."""
    return _steps(stream, split, Learn)


def holdout_bounds(stream: Stream, split: Split) -> tuple[int, int]:
    """Return the index of the first event after the split, and of the first one after the holdout."""
    end = len(stream) if split == "test" else _after_quantile(stream, np.arange(len(stream)))
    after = _holdout(stream, split).after
    return (int(after[0]) if len(after) else end), end


def _steps(stream: Stream, split: Split, after_ranking: type[Observe] | type[Learn]) -> Iterator[Step]:
    before, after = _holdout(stream, split)
    is_trained = _is_trained(stream, before)
    yield from in_batches(Learn, before[is_trained])
    yield from in_batches(Observe, before[~is_trained])
    has_history = np.zeros(len(stream.users), np.bool_)
    has_history[stream.user[before]] = True
    for index in after:
        if has_history[stream.user[index]]:
            yield Rank(np.array([index]), int(stream.at_ms[index]))
        has_history[stream.user[index]] = True
        yield after_ranking(np.array([index]))


def _holdout(stream: Stream, split: Split) -> _Holdout:
    events = np.arange(len(stream))
    if split == "validation":
        before = events[: _after_quantile(stream, events)]
        events = before[_is_trained(stream, before)]
    return _Holdout(*np.split(events, [_after_quantile(stream, events)]))


def _after_quantile(stream: Stream, events: Indices) -> int:
    """Return the number of events at or before the quantile of their times."""
    times_ms = stream.at_ms[events]
    return int(times_ms.searchsorted(np.quantile(times_ms, _QUANTILE), side="right")) if len(events) else 0


def _is_trained(stream: Stream, before: Indices) -> NDArray[np.bool_]:
    return _counts(stream.user, before) >= _TRAINED


def _counts(column: NDArray[np.int32], events: Indices) -> NDArray[np.intp]:
    """Return, for each event, the number of events with the same value of a column."""
    return np.bincount(column[events], minlength=1)[column[events]]


def _without_repeats(stream: Stream, events: Indices) -> Indices:
    """Leave out events on the item of their user's previous event."""
    by_user = events[np.argsort(stream.user[events], kind="stable")]
    user, item = stream.user[by_user], stream.item[by_user]
    repeats = np.zeros(len(by_user), np.bool_)
    repeats[1:] = (user[1:] == user[:-1]) & (item[1:] == item[:-1])
    return np.sort(by_user[~repeats])


def _interactions(stream: Stream, events: Indices) -> Stream:
    """Return some events of a stream as its only ones, without ratings."""
    users, items = Vocabulary(), Vocabulary()
    selected_events = [stream.events[index] for index in events.tolist()]
    user = np.array([users.add(event.user_id) for event in selected_events], np.int32)
    item = items.add_all([event.item_id for event in selected_events])
    fresh = np.zeros(len(selected_events), np.bool_)
    fresh[np.unique(user.astype(np.int64) * max(len(items), 1) + item, return_index=True)[1]] = True
    return replace(
        stream,
        users=users.names,
        items=items.names,
        user=user,
        item=item,
        at_ms=stream.at_ms[events],
        rating=np.full(len(selected_events), np.nan),
        positive=np.ones(len(selected_events), np.bool_),
        fresh=fresh,
        events=[ModelEvent(event.user_id, event.item_id, event.at_ms, 1.0) for event in selected_events],
        has_ratings=False,
    )
