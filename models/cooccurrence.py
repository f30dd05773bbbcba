"""Decayed item-item co-occurrence, learned one event at a time.

An event on item j after items i₁, i₂, … of the same user (newest first) adds w·g^-½·2^(t/half-life) to the links
between j and each i_g, in both directions. A query adds up the rows of the last items, 0.8 per step back, and divides
by the square root of each candidate's popularity, which keeps the head of the catalogue from winning every time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np

from models import decay
from models.model import Event, Model, Query, Scores, top
from models.popularity import Popularity

STEP = 0.8
"""Weight of each further step back in a query."""
QUERY_ITEMS = 30
POPULARITY_EXPONENT = 0.5
WINDOW = 100
"""Items of a user that a new one is linked to."""
_WEAK = 0.5
"""Weight of a link when the event was not a liking."""
_RESCALE_EXPONENT = 500.0
_DIGITS = 9
"""Shares are compared after rounding, so that the order of additions cannot turn a tie into an order."""


class Cooccurrence(Model):
    """Links between items, kept as one row of sums per item."""

    name = "cooccurrence"

    def __init__(self, *, half_life_days: float = 60.0) -> None:
        super().__init__()
        self._rate = decay.rate_of_half_life(half_life_days) / math.log(2)
        self._landmark_ms: int | None = None
        self._rows: dict[str, dict[str, float]] = {}
        self._sums: dict[str, float] = {}
        self._windows: dict[str, deque[str]] = {}
        self._fallback = Popularity(half_life_days=half_life_days)
        self.changed: dict[str, None] = {}
        """Items whose rows changed since `drain`, longest waiting first."""

    def learn(self, events: Sequence[Event]) -> None:
        """Link each event's item to the user's items before it."""
        for event in events:
            self._link(event)
        self._fallback.learn(events)

    def scores(self, queries: Sequence[Query]) -> Scores:
        """Return what goes with each query's last items; the decayed popular items when it has none."""
        return np.stack([self._score(query) for query in queries]) if queries else np.empty((0, len(self.items)))

    def drain(self, most: int) -> list[str]:
        """Return at most so many items whose rows changed, and forget that they did."""
        taken = [item for item, _ in zip(self.changed, range(most), strict=False)]
        for item in taken:
            del self.changed[item]
        return taken

    def row(self, item_id: str, k: int) -> tuple[list[str], list[float]]:
        """Return the k strongest links of an item, as shares of its strongest; ties by id."""
        links = self._rows.get(item_id)
        if not links:
            return [], []
        sums = np.fromiter(links.values(), np.float64, len(links))
        best = top(list(links), (sums / sums.max()).round(_DIGITS), k)
        return list(best.items), best.scores.tolist()

    def _link(self, event: Event) -> None:
        window = self._windows.setdefault(event.user_id, deque(maxlen=WINDOW))
        item = event.item_id
        self.items.add(item)
        scale = self._scale(event.at_ms) * (1.0 if event.weight > 0 else _WEAK)
        self._sums[item] = self._sums.get(item, 0.0) + scale
        row = self._rows.setdefault(item, {})
        self.changed[item] = None
        for gap, other in enumerate(reversed(window), start=1):
            if other == item:
                continue
            link = scale / math.sqrt(gap)
            row[other] = row.get(other, 0.0) + link
            back = self._rows[other]
            back[item] = back.get(item, 0.0) + link
            self.changed[other] = None
        window.append(item)

    def _scale(self, at_ms: int) -> float:
        if self._landmark_ms is None:
            self._landmark_ms = at_ms
        exponent = (at_ms - self._landmark_ms) * self._rate
        if exponent > _RESCALE_EXPONENT:
            self._rescale(2.0**-exponent)
            self._landmark_ms, exponent = at_ms, 0.0
        return float(2.0**exponent)

    def _rescale(self, factor: float) -> None:
        self._sums = {item: sum_ * factor for item, sum_ in self._sums.items()}
        for links in self._rows.values():
            for other in links:
                links[other] *= factor

    def _score(self, query: Query) -> Scores:
        links = self._links(query.recent)
        if not links:
            popular: Scores = self._fallback.scores([query])[0]
            return popular
        scores = np.full(len(self.items), -np.inf)
        scores[self.items.known(links)] = np.fromiter(links.values(), np.float64, len(links))
        return scores

    def _links(self, recent: Iterable[tuple[str, float]]) -> dict[str, float]:
        scores: dict[str, float] = {}
        for step, (item, weight) in enumerate(list(recent)[:QUERY_ITEMS]):
            if weight <= 0:
                continue
            for other, link in self._rows.get(item, {}).items():
                scores[other] = scores.get(other, 0.0) + STEP**step * link
        return {item: score / self._sums[item] ** POPULARITY_EXPONENT for item, score in scores.items()}
