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
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from domain.state import Stateful
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
_GAP_EXPONENT = 0.5
_NEXT_MOMENTS = 3
_RESCALE_EXPONENT = 40.0
"""Half-lives after which sums are rescaled. Loaded rows may have grown as far elsewhere: floats hold both."""
_YOUNG_EVENTS = 20.0
"""Items with fewer events are young: their rows are published first."""


class DecayedCooccurrence(Stateful):
    """Links between numbered items, decayed forward from a reference time."""

    STATE = ("links", "reference_ms", "_young", "_changed_items")

    def __init__(self, *, half_life_days: float = HALF_LIFE_DAYS, is_learned: bool = True) -> None:
        """Start empty.

        Args:
            half_life_days: Half-life of the sums.
            is_learned: Whether links are learned here, and not only loaded.
        """
        self.links = SparseLinks(2, is_learned=is_learned)
        self.reference_ms: int | None = None
        self._half_life_ms = half_life_days * DAY_MS
        self._young: dict[int, None] = {}
        self._changed_items: dict[int, None] = {}
        """Items with changed rows, oldest change first, cleared by `drain`; young items are in `_young` instead."""

    def learn(
        self,
        item: int,
        window: Indices,
        groups_back: NDArray[np.int64],
        *,
        at_ms: int,
        is_positive: bool,
        share: float = 1.0,
    ) -> None:
        """Link an item with the items before it.

        Args:
            item: Item of the event.
            window: (m,) earlier items of the same user, newest first.
            groups_back: (m,) their distance in timestamp groups; 0 is the event's own group.
            at_ms: Time of the event in ms since the epoch.
            is_positive: Whether the event is positive.
            share: Weight of the event, from 0 to 1.
        """
        scale = self._scale(at_ms) * share * (1.0 if is_positive else WEAK)
        self.links.add_events(item, scale)
        if self.links.event_count(item) < _YOUNG_EVENTS * scale:
            self._young[item] = None
            self._changed_items.pop(item, None)
        else:
            self._mark([item])
        if not len(window):
            return
        follows = np.where((groups_back > 0) & (groups_back <= _NEXT_MOMENTS), scale * 0.5 ** (groups_back - 1.0), 0.0)
        steps_back = np.arange(len(window))
        if len(set(window.tolist())) < len(window):  # repeated items: the newest occurrence counts
            window, steps_back, where = np.unique(window, return_index=True, return_inverse=True)
            follows = np.bincount(where, follows).astype(float)
        together = scale * (steps_back + 1.0) ** -_GAP_EXPONENT
        if item in window:  # a repeated item adds directed links only
            is_next = follows > 0.0
            window, follows, together = window[is_next], follows[is_next], np.zeros(np.count_nonzero(is_next))
        into = np.stack([together, follows])
        out = np.stack([together, np.zeros_like(together)])
        self.links.link(item, window, into=into, out=out)
        self._mark(window.tolist())

    @property
    def changed_count(self) -> int:
        """Return the number of items with rows changed since `drain`."""
        return len(self._young) + len(self._changed_items)

    def drain(self, limit: int) -> list[int]:
        """Return up to `limit` items with changed rows, and clear their marks.

        Young items come first: their rows are short, and one more event changes them most.
        """
        items = list(islice(chain(self._young, self._changed_items), limit))
        for item in items:
            (self._young if item in self._young else self._changed_items).pop(item)
        return items

    def _mark(self, items: Iterable[int]) -> None:
        self._changed_items.update((item, None) for item in items if item not in self._young)

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
        factor = self._scale(reference_ms)
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

    def _age(self, at_ms: int) -> float:
        """Return the decay factor of event counts from the reference time to a time."""
        reference_ms = at_ms if self.reference_ms is None else self.reference_ms
        return decay.factor((reference_ms - at_ms) / self._half_life_ms, max_half_lives=_RESCALE_EXPONENT)

    def _scale(self, at_ms: int) -> float:
        """Return the increment of one event at a time; rescale the sums where it would grow too large."""
        if self.reference_ms is None:
            self.reference_ms = at_ms
        exponent = (at_ms - self.reference_ms) / self._half_life_ms
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
            self._table.learn(item, before, groups_back, at_ms=event.at_ms, is_positive=is_positive(event.weight))
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
