"""Decayed item-item co-occurrence, learned one event at a time.

An event on item j after items i₁, i₂, … of the same user (newest first) adds w·2^-m·2^(t/half-life) to the directed
links from the items of the last few timestamp groups, m groups back. If j is not in the window, it also adds
w·g^-½·2^(t/half-life) to the links between j and each i_g, in both directions: a user who alternates between two items
counts once. A query sums the rows of its items and divides by a power of each candidate's event count (decayed
likewise), a popularity penalty.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from domain.timestamp import DAY_MS
from models import decay
from models.base import ModelEvent, ModelQuery, Scores
from models.fallback_model import FallbackModel
from models.neighbours.sparse_links import MIN_EVENT_COUNT, Indices, SimilarityQuery, SparseLinks
from models.weight import is_positive

HALF_LIFE_DAYS = 60.0
WINDOW = 100
"""Number of a user's last items that a new one is linked to."""
STEP = 0.8
"""Discount per step back in a query."""
QUERY_ITEMS = 50
WEAK = 0.5
"""Weight of an event that is not positive."""
TOGETHER, NEXT = 0, 1
"""Channels of the links: within a window of a user's history, and in the next timestamp groups."""
DAMPING = 0.5
"""Exponent of the popularity penalty: the power of a candidate's event count that its sum is divided by."""
NO_STEP = 255
"""The step back of an item that the event has no links with in both directions."""
TOGETHER_SHARES = np.append((np.arange(NO_STEP) + 1.0) ** -0.5, 0.0)
"""Share of a link within the window, by the step back."""
FOLLOW_SHARES = np.array([0.0, 1.0, 0.5, 0.25, 0.0])
"""Share of a link to the next timestamp groups, by the distance in groups, and of all greater distances."""
_RESCALE_EXPONENT = 40.0
"""Half-lives after which sums are rescaled. Loaded rows may have grown as far elsewhere: floats hold both."""


class EventLinks(NamedTuple):
    """The items that an event is linked with, and the shares of its weight that the links gain."""

    others: Indices
    """(m,) distinct items."""
    steps_back: NDArray[np.uint8]
    """(m,) distance in events of the newest one of each item, or `NO_STEP` for a link of the next groups only."""
    follows: NDArray[np.float64]
    """(m,) sums of powers of ½ up to 2^-2, one for each event in the last few timestamp groups."""

    @property
    def together(self) -> NDArray[np.float64]:
        """Return the (m,) shares of the links in both directions."""
        return TOGETHER_SHARES[self.steps_back]


def event_links(item: int, window: Indices, groups_back: NDArray[np.int64]) -> EventLinks:
    """Return the links of an event. A repeated item adds links of the next groups only, in one direction.

    Args:
        item: Item of the event.
        window: (m,) earlier items of the same user, newest first; at most `WINDOW`.
        groups_back: (m,) their distance in timestamp groups; 0 is the event's own group.
    """
    follows = FOLLOW_SHARES[np.minimum(groups_back, len(FOLLOW_SHARES) - 1)]
    steps_back = np.arange(len(window), dtype=np.uint8)
    if len(set(window.tolist())) < len(window):  # repeated items: the newest occurrence counts
        window, newest, where = np.unique(window, return_index=True, return_inverse=True)
        steps_back, follows = newest.astype(np.uint8), np.bincount(where, follows).astype(float)
    if item in window:
        is_next = follows > 0.0
        window, follows = window[is_next], follows[is_next]
        steps_back = np.full(len(window), NO_STEP, np.uint8)
    return EventLinks(window, steps_back, follows)


class DecayedCooccurrence:
    """Links between numbered items, decayed forward from a reference time."""

    def __init__(
        self, *, half_life_days: float = HALF_LIFE_DAYS, is_learned: bool = True, links: SparseLinks | None = None
    ) -> None:
        """Start empty.

        Args:
            half_life_days: Half-life of the sums.
            is_learned: Whether links are learned here, and not only loaded.
            links: The empty rows, where they have limits of their own.
        """
        self.links = links or SparseLinks(2, is_learned=is_learned)
        self.reference_ms: int | None = None
        self._half_life_ms = half_life_days * DAY_MS

    def learn(
        self,
        item: int,
        window: Indices,
        groups_back: NDArray[np.int64],
        *,
        at_ms: int,
        weight: float = 1.0,
    ) -> None:
        """Link an item with the items before it.

        Args:
            item: Item of the event.
            window: (m,) earlier items of the same user, newest first.
            groups_back: (m,) their distance in timestamp groups; 0 is the event's own group.
            at_ms: Time of the event in ms since the epoch.
            weight: Weight of the event, from 0 to 1; `WEAK` for one that is not positive.
        """
        scale = self.scale_at(at_ms) * weight
        self.links.add_events(item, scale)
        if not len(window):
            return
        links = event_links(item, window, groups_back)
        together = scale * links.together
        into, out = np.stack([together, scale * links.follows]), np.stack([together, np.zeros(len(together))])
        self.links.link(item, links.others, into=into, out=out)

    def put(
        self, item: int, others: Indices, sums: NDArray[np.float64], *, event_count: float, reference_ms: int
    ) -> None:
        """Load a row of another table with its own reference time.

        Args:
            item: The item.
            others: (k,) linked items.
            sums: (channels, k) decayed sums.
            event_count: Decayed number of the item's events.
            reference_ms: Reference time of sums and count in ms since the epoch.
        """
        factor = self.scale_at(reference_ms)
        self.links.put(item, others, (sums * factor), event_count * factor)

    def share(self, item: int, at_ms: int, *, damping: float) -> float:
        """Return the factor that normalises an item's links by its event count, with the damping as of a time.

        Args:
            item: The item.
            at_ms: The time in ms since the epoch.
            damping: Exponent of the popularity penalty.
        """
        event_count = self.links.event_count(item)
        return self._age(at_ms) ** -damping / max(event_count, MIN_EVENT_COUNT) if event_count > 0.0 else 0.0

    def events(self, item: int, at_ms: int) -> float:
        """Return the decayed number of an item's events.

        Args:
            item: The item.
            at_ms: Time of the decay in ms since the epoch.
        """
        return self.links.event_count(item) * self._age(at_ms)

    def rescales_at(self, at_ms: int) -> bool:
        """Return whether `scale_at` would rescale the sums.

        Args:
            at_ms: The time in ms since the epoch.
        """
        return self.reference_ms is not None and self._half_lives(at_ms, self.reference_ms) > _RESCALE_EXPONENT

    def _half_lives(self, at_ms: int, reference_ms: int) -> float:
        return (at_ms - reference_ms) / self._half_life_ms

    def _age(self, at_ms: int) -> float:
        """Return the decay factor of event counts from the reference time to a time."""
        reference_ms = at_ms if self.reference_ms is None else self.reference_ms
        return decay.factor((reference_ms - at_ms) / self._half_life_ms, max_half_lives=_RESCALE_EXPONENT)

    def scale_at(self, at_ms: int) -> float:
        """Return the increment of one event at a time; rescale the sums where it would grow too large.

        Args:
            at_ms: The time in ms since the epoch.
        """
        if self.reference_ms is None:
            self.reference_ms = at_ms
        exponent = self._half_lives(at_ms, self.reference_ms)
        if exponent > _RESCALE_EXPONENT:
            self.links.scale(decay.factor(-exponent))
            self.reference_ms, exponent = at_ms, 0.0
        return decay.factor(exponent)


class Cooccurrence(FallbackModel):
    """Item-item co-occurrence with the last items, as a standalone model."""

    name = "cooccurrence"

    def __init__(self, *, half_life_days: float = HALF_LIFE_DAYS) -> None:
        """Start empty.

        Args:
            half_life_days: Half-life of the links and of the fallback's popularity, in days.
        """
        super().__init__(half_life_days=half_life_days)
        self._table = DecayedCooccurrence(half_life_days=half_life_days)
        self._windows: dict[str, deque[tuple[int, int]]] = {}

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Link each event's item to the user's items before it."""
        for event in events:
            self._fallback.learn([event])
            item = self.items.get(event.item_id)
            window = self._windows.setdefault(event.user_id, deque(maxlen=WINDOW))
            before = np.array([other for other, _ in reversed(window)], np.int32)
            groups_back = timestamp_groups_back([at_ms for _, at_ms in reversed(window)], event.at_ms)
            weight = 1.0 if is_positive(event.weight) else WEAK
            self._table.learn(item, before, groups_back, at_ms=event.at_ms, weight=weight)
            window.append((item, event.at_ms))

    def row(self, item_id: str, k: int) -> tuple[list[str], list[float]]:
        """Return the strongest links of an item as ids and shares of the strongest; ties by id.

        Args:
            item_id: The item.
            k: Number of links, at most.
        """
        others, sums = self._table.links.row(self.items.get(item_id))
        names, together = [self.items.names[other] for other in others.tolist()], sums[TOGETHER]
        order = sorted(np.flatnonzero(together).tolist(), key=lambda at: (-together[at], names[at]))[:k]
        return [names[at] for at in order], [float(together[at] / together.max()) for at in order]

    def _query_scores(self, query: ModelQuery) -> Scores | None:
        """Return the damped co-occurrence sums of the query's last items, or None without any."""
        recent = [(item, weight) for name, weight in query.recent[:QUERY_ITEMS] if (item := self.items.get(name)) >= 0]
        items = np.array([item for item, _ in recent], np.int32)
        strengths = np.array([[1.0 if is_positive(weight) else WEAK for _, weight in recent]])
        weights = strengths * STEP ** np.arange(len(items))
        similarity_query = SimilarityQuery(TOGETHER, weights, DAMPING)
        [totals] = self._table.links.scores(items, similarity_query, out=np.empty((1, len(self.items)), np.float32))
        if not totals.any():
            return None
        return np.where(totals > 0, totals.astype(np.float64), -math.inf)


def timestamp_groups_back(times_ms: Iterable[int], now_ms: int) -> NDArray[np.int64]:
    """Return the distance of each time from now in timestamp groups (distinct times); 0 for now itself.

    Args:
        times_ms: Times of earlier events, newest first, in ms since the epoch.
        now_ms: Time of the current event.

    >>> timestamp_groups_back([500, 300, 300, 100], now_ms=500).tolist()
    [0, 1, 1, 2]
    """
    groups_back, count, later_ms = [], 0, now_ms
    for at_ms in times_ms:  # most histories are short: arrays would take longer
        count += at_ms != later_ms
        groups_back.append(count)
        later_ms = at_ms
    return np.array(groups_back, np.int64)
