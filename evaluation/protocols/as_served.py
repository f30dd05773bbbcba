"""The protocol as-served: test events are ranked by the feed that a client would have read at that moment.

A worker ranks a user right after an event, and again every day until the user is inactive. The list of a test event is
therefore made after the user's previous event or a whole number of days later, with the models and tables that had been
published by then. It is read in the order that the API shows after the time since that event. Before a user's first
feed, the default feed is served, the feed of a user without history.

    user's events     -- p ---------- p + days ---------------- T, T --        T: test events, one timestamp group
    feed                                   └ delay ─▶ made at m ─▶ read        in the order for T - p
    models know       ───── published before m ─┤                              at whole publication intervals
    history knows     ── p ┤

A feed made for events of one time serves all events of the next time, as a group in prequential-strict.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

import numpy as np

from domain.timestamp import DAY_MS, HOUR_MS
from evaluation.protocols.split import Split, split_bounds
from evaluation.protocols.step import Observe, Rank, Step, Train, in_batches, is_target, timestamp_groups
from evaluation.protocols.stream import Stream
from infra.settings import Settings

_DEFAULTS = Settings()
FEED_MS = 100
"""Time from an event to the feed in the store; the benchmark `freshness` measures it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingDelays:
    """Delays between an event and its effects on feeds, in ms."""

    feed_ms: int = FEED_MS
    """Time from an event to the user's own feed."""
    tables_ms: int = round(1_000 * _DEFAULTS.commit_interval_s)
    """Time between publications of item statistics, item-item links and personal weights."""
    weights_ms: int = round(1_000 * _DEFAULTS.model_publish_interval_s)
    """Time between publications of the shared weights; 0: they and the personal weights are never published."""
    fit_ms: int = round(1_000 * _DEFAULTS.model_fit_interval_s)
    """Least time between fits of the item weights; 0: they are never fitted."""
    rerank_ms: int = round(HOUR_MS * _DEFAULTS.trigger_rerank_hours)
    """Time between rankings of a user without events; 0: there are none."""
    inactive_ms: int = round(DAY_MS * _DEFAULTS.trigger_inactive_days)
    """Time without an event after which a user is not ranked again."""

    def made_ms(self, event_ms: int, read_ms: int) -> int:
        """Return the time at which the feed was made that is read at a time.

        Args:
            event_ms: Time of the user's last event before, by at least `feed_ms`.
            read_ms: Time of the reading.
        """
        made_ms = event_ms + self.feed_ms
        if not self.rerank_ms:
            return made_ms
        rerank_count = min((read_ms - made_ms) // self.rerank_ms, self.inactive_ms // self.rerank_ms)
        return made_ms + rerank_count * self.rerank_ms


def as_served(stream: Stream, split: Split, *, delays: ServingDelays) -> Iterator[Step]:
    """Yield the steps of as-served.

    Args:
        stream: The stream.
        split: The split to rank.
        delays: The delays of the pipeline.
    """
    start, end = split_bounds(stream, split)
    times_ms = stream.at_ms[:end]
    observed_count = trained_count = 0
    for feed in sorted(_feeds(stream, start, end, delays), key=attrgetter("at_ms")):
        upto = int(times_ms.searchsorted(feed.at_ms - delays.feed_ms, side="right"))
        yield from in_batches(Observe, np.arange(observed_count, upto))
        published_count = int(times_ms.searchsorted(feed.at_ms // delays.tables_ms * delays.tables_ms))
        yield from in_batches(Train, np.arange(trained_count, published_count))
        observed_count, trained_count = max(observed_count, upto), max(trained_count, published_count)
        yield feed


def _feeds(stream: Stream, start: int, end: int, delays: ServingDelays) -> Iterator[Rank]:
    """Yield the ranking behind each timestamp group with test events, in the order of the groups."""
    order, edges = timestamp_groups(stream, end)
    is_ranked = is_target(stream)[order] & (order >= start)
    earlier_ms: dict[int, list[int]] = defaultdict(list)
    for begin, stop in pairwise(edges.tolist()):
        user, at_ms = int(stream.user[order[begin]]), int(stream.at_ms[order[begin]])
        within = is_ranked[begin:stop]
        if within.any():
            before = bisect_right(earlier_ms[user], at_ms - delays.feed_ms)
            made_ms = delays.made_ms(earlier_ms[user][before - 1], at_ms) if before else at_ms
            yield Rank(order[begin:stop][within], made_ms, chosen_at_ms=at_ms)
        earlier_ms[user].append(at_ms)
