"""Decayed item-item co-occurrence, learned one event at a time.

An event on item j after items i₁, i₂, … of the same user (newest first) adds w·2^-m·2^(t/half-life) to the one-way
links from the items of the last few moments, m moments before. If j is none of them, it also adds
w·g^-½·2^(t/half-life) to the links between j and each i_g, in both directions: whoever goes to and fro between two
items says once that they go together. A query adds up the rows of its items and divides by a power of each
candidate's mass (its own decayed events), which keeps the head of the catalogue from winning every time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from models import decay
from models.base import Model, ModelEvent, ModelQuery, Scores
from models.baselines.popularity import Popularity
from models.neighbours.item_item_matrix import Indices, ItemItemMatrix, SimilarityQuery
from models.weight import is_positive

HALF_LIFE_DAYS = 60.0
WINDOW = 100
"""Items of a user that a new one is linked to."""
STEP = 0.8
"""Weight of each further step back in a query."""
QUERY_ITEMS = 50
WEAK = 0.5
"""Weight of an event that is not a liking."""
TOGETHER, NEXT = 0, 1
"""The channels of the links: near each other in a user's history, and one moment after the other."""
DAMPING = 0.5
"""The power of a candidate's mass that sums of many items' links are divided by."""
_GAP_EXPONENT = 0.5
_NEXT_MOMENTS = 3
_RESCALE_EXPONENT = 40.0
"""Half-lives past which sums are scaled down. A row taken over may have grown as far elsewhere: floats hold both."""
_YOUNG_EVENTS = 20.0
"""Items of fewer events are young."""


class DecayedCooccurrence:
    """Links between numbered items, decayed forward from a reference time."""

    def __init__(self, *, half_life_days: float = HALF_LIFE_DAYS, adds: bool = True) -> None:
        """Start empty; `adds` says whether links are learned here, and not only taken over."""
        self.links = ItemItemMatrix(2, adds=adds)
        self.reference_ms: int | None = None
        self._half_life_ms = half_life_days * decay.DAY_MS
        self._young: dict[int, None] = {}
        self._changed: dict[int, None] = {}
        """Items whose rows changed since `drain`, longest waiting first: those of few events, and the others."""

    def learn(
        self,
        item: int,
        window: Indices,
        groups_back: NDArray[np.int64],
        *,
        at_ms: int,
        liking: bool,
        share: float = 1.0,
    ) -> None:
        """Link an item with the items before it.

        Args:
            item: The item of an event.
            window: (m,) items of the same user before it, newest first.
            moments: (m,) how many moments back they lie; 0 is the event's own.
            at_ms: When it happened.
            liking: Whether it says that the item was liked.
            share: From 0 to 1, how much the event counts.
        """
        scale = self._scale(at_ms) * share * (1.0 if liking else WEAK)
        self.links.add_mass(item, scale)
        if self.links.mass(item) < _YOUNG_EVENTS * scale:
            self._young[item] = None
            self._changed.pop(item, None)
        else:
            self._mark([item])
        if not len(window):
            return
        follows = np.where((groups_back > 0) & (groups_back <= _NEXT_MOMENTS), scale * 0.5 ** (groups_back - 1.0), 0.0)
        steps_back = np.arange(len(window))
        if len(set(window.tolist())) < len(window):  # people come back to items: each is as near as it was last
            window, steps_back, where = np.unique(window, return_index=True, return_inverse=True)
            follows = np.bincount(where, follows).astype(float)
        together = scale * (steps_back + 1.0) ** -_GAP_EXPONENT
        if item in window:  # a return changes no more than what it follows
            is_next = follows > 0.0
            window, follows, together = window[is_next], follows[is_next], np.zeros(np.count_nonzero(is_next))
        into = np.stack([together, follows])
        out = np.stack([together, np.zeros_like(together)])
        self.links.link(item, window, into=into, out=out)
        self._mark(window.tolist())

    @property
    def waiting(self) -> int:
        """Return how many items have rows that changed since `drain`."""
        return len(self._young) + len(self._changed)

    def drain(self, most: int) -> list[int]:
        """Return at most so many items whose rows changed, and forget that they did.

        Those of few events come first: their rows are short, and one event more is much of what there is.
        """
        items = list(islice(chain(self._young, self._changed), most))
        for item in items:
            (self._young if item in self._young else self._changed).pop(item)
        return items

    def _mark(self, items: Iterable[int]) -> None:
        self._changed.update((item, None) for item in items if item not in self._young)

    def put(self, item: int, others: Indices, sums: NDArray[np.float64], *, mass: float, reference_ms: int) -> None:
        """Take over a row that another table learned with its own reference time."""
        factor = self._scale(reference_ms)
        self.links.put(item, others, (sums * factor), mass * factor)

    def share(self, item: int, at_ms: int, *, damping: float) -> float:
        """Return the weight that makes an item's links shares of its events, and what damps them events by then."""
        mass = self.links.mass(item)
        return self._age(at_ms) ** -damping / mass if mass > 0.0 else 0.0

    def events(self, item: int, at_ms: int) -> float:
        """Return how many events an item has, decayed to a time."""
        return self.links.mass(item) * self._age(at_ms)

    def _age(self, at_ms: int) -> float:
        """Return what a mass has decayed to by a time."""
        reference_ms = at_ms if self.reference_ms is None else self.reference_ms
        return decay.factor((reference_ms - at_ms) / self._half_life_ms, most=_RESCALE_EXPONENT)

    def _scale(self, at_ms: int) -> float:
        """Return what one event at a time adds; once that is much, what is there is scaled down instead."""
        if self.reference_ms is None:
            self.reference_ms = at_ms
        exponent = (at_ms - self.reference_ms) / self._half_life_ms
        if exponent > _RESCALE_EXPONENT:
            self.links.scale(decay.factor(-exponent))
            self.reference_ms, exponent = at_ms, 0.0
        return decay.factor(exponent)


class Cooccurrence(Model):
    """What goes with the last items, as a model of its own."""

    name = "cooccurrence"

    def __init__(self, *, half_life_days: float = HALF_LIFE_DAYS) -> None:
        super().__init__()
        self._table = DecayedCooccurrence(half_life_days=half_life_days)
        self._windows: dict[str, deque[tuple[int, int]]] = {}
        self._fallback = Popularity(half_life_days=half_life_days)

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Link each event's item to the user's items before it."""
        for event in events:
            item = self.items.add(event.item_id)
            window = self._windows.setdefault(event.user_id, deque(maxlen=WINDOW))
            before = np.array([other for other, _ in reversed(window)], np.int32)
            groups_back = timestamp_groups_back([at_ms for _, at_ms in reversed(window)], event.at_ms)
            self._table.learn(item, before, groups_back, at_ms=event.at_ms, liking=is_positive(event.weight))
            window.append((item, event.at_ms))
        self._fallback.learn(events)

    def scores(self, queries: Sequence[ModelQuery]) -> Scores:
        """Return what goes with each query's last items; the decayed popular items when it has none."""
        return np.stack([self._score(query) for query in queries]) if queries else np.empty((0, len(self.items)))

    def row(self, item_id: str, k: int) -> tuple[list[str], list[float]]:
        """Return the k strongest links of an item, as shares of its strongest; ties by id."""
        others, sums = self._table.links.row(self.items.get(item_id))
        names, together = [self.items.names[other] for other in others.tolist()], sums[TOGETHER]
        order = sorted(np.flatnonzero(together).tolist(), key=lambda at: (-together[at], names[at]))[:k]
        return [names[at] for at in order], [float(together[at] / together.max()) for at in order]

    def _score(self, query: ModelQuery) -> Scores:
        recent = [(item, weight) for name, weight in query.recent[:QUERY_ITEMS] if (item := self.items.get(name)) >= 0]
        items = np.array([item for item, _ in recent], np.int32)
        strengths = np.array([[1.0 if is_positive(weight) else WEAK for _, weight in recent]])
        weights = strengths * STEP ** np.arange(len(items))
        similarity_query = SimilarityQuery(TOGETHER, weights, DAMPING)
        [totals] = self._table.links.scores(items, similarity_query, out=np.empty((1, len(self.items)), np.float32))
        if not totals.any():
            popular: Scores = self._fallback.scores([query])[0]
            return popular
        return np.where(totals > 0, totals.astype(np.float64), -math.inf)


def timestamp_groups_back(times_ms: Iterable[int], now_ms: int) -> NDArray[np.int64]:
    """Return how many moments (distinct times) lie between each time, newest first, and now; 0 for now itself."""
    groups_back, count, later_ms = [], 0, now_ms
    for at_ms in times_ms:  # most histories are short: arrays would take longer
        count += at_ms != later_ms
        groups_back.append(count)
        later_ms = at_ms
    return np.array(groups_back, np.int64)
