"""TALE: a linear item-item model of the next item (Park et al., WSDM 2025), refitted while the stream runs.

Every event is the single target of the items before it in its user's history. With a row of S for those sources and a
row of T for the target, B = (SᵀS + λI)⁻¹ SᵀT, so that scores are the history times B. A source counts by the time from
it to the target, exp(-days / τ) but at least a floor. Sources and targets are divided by a power of how popular their
item was when the event took place. SᵀS and SᵀT are sums over events: a refit adds the events since the last one.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack

from domain.timestamp import DAY_MS
from models.base import ModelEvent
from models.factorization.ease import MAX_ITEMS, Ease
from models.refitting import confidence


class _Source(NamedTuple):
    """An item of a user's history, as a source of later targets."""

    item: int
    at_ms: int
    value: float
    """Confidence of the event, normalized by the item's popularity at its time."""


class Tale(Ease):
    """Regression weights from the items of a history to the next item."""

    name = "tale"

    def __init__(
        self,
        *,
        regularization: float = 2_000.0,
        refit_every: int = 1_000,
        max_items: int = MAX_ITEMS,
        position_discount: float = 0.95,
        dislike_confidence: float = 0.5,
        interval_days: float = 0.01,
        interval_floor: float = 0.2,
        popularity_days: float = 30.0,
        popularity_exponent: float = 0.05,
        sources: int = 50,
    ) -> None:
        """Start untrained.

        Args:
            regularization: The λ of the ridge regression.
            refit_every: Number of events between refits, at least.
            max_items: Number of most popular items in a fit.
            position_discount: Discount of a query's items per step back.
            dislike_confidence: Confidence of an event without a positive weight.
            interval_days: Interval in days at which a source counts 1/e.
            interval_floor: Least weight of a source, on [0, 1].
            popularity_days: Time in days after which an event counts 1/e in its item's popularity.
            popularity_exponent: Power of the popularity that sources and targets are divided by.
            sources: Number of last items before a target that are its sources.
        """
        super().__init__(
            regularization=regularization,
            refit_every=refit_every,
            max_items=max_items,
            position_discount=position_discount,
            dislike_confidence=dislike_confidence,
        )
        self._interval_ms, self._interval_floor = interval_days * DAY_MS, interval_floor
        self._popularity_ms, self._exponent = popularity_days * DAY_MS, popularity_exponent
        self._source_count = sources
        self._histories: dict[str, deque[_Source]] = {}
        self._popularity: dict[int, tuple[float, int]] = {}
        self._pending = _TargetRows()
        self._gram = self._cross = sparse.csr_array((0, 0), dtype=np.float32)

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Add each event as a target of its user's history and as a source of later ones, and refit when due."""
        for event in events:
            self._add(event, self.items.add(event.item_id))
            super().learn([event])

    def _add(self, event: ModelEvent, item: int) -> None:
        history = self._histories.get(event.user_id)
        if history is None:
            history = self._histories[event.user_id] = deque(maxlen=self._source_count)
        value = self._normalized(event, item)
        if history:
            self._pending.add(
                [source.item for source in history],
                [source.value * self._interval_weight(event.at_ms - source.at_ms) for source in history],
                item,
                value,
            )
        history.append(_Source(item, event.at_ms, value))

    def _interval_weight(self, interval_ms: int) -> float:
        return max(math.exp(-abs(interval_ms) / self._interval_ms), self._interval_floor)

    def _normalized(self, event: ModelEvent, item: int) -> float:
        """Return an event's confidence over a power of its item's popularity, which then includes the event."""
        count, at_ms = self._popularity.get(item, (0.0, event.at_ms))
        count = 1.0 + count * math.exp(-abs(event.at_ms - at_ms) / self._popularity_ms)
        self._popularity[item] = (count, event.at_ms)
        return confidence(event.weight, dislike_confidence=self._dislike_confidence) / math.pow(count, self._exponent)

    def _fit(self, columns: sparse.csr_array) -> NDArray[np.float32]:
        size = len(self.items)
        sources, targets = self._pending.matrices(size)
        self._pending = _TargetRows()
        for matrix in (self._gram, self._cross):
            matrix.resize((size, size))
        self._gram, self._cross = self._gram + sources.T @ sources, self._cross + sources.T @ targets
        block = np.ix_(self._fitted_items, self._fitted_items)
        gram = np.asfortranarray(self._gram[block].toarray(), np.float32)
        np.fill_diagonal(gram, gram.diagonal() + self._regularization)
        _, solution, info = lapack.sposv(gram, np.asfortranarray(self._cross[block].toarray(), np.float32))
        assert not info, "a positive diagonal was added"
        return np.ascontiguousarray(solution)


class _TargetRows:
    """The targets since the last refit, each with its sources."""

    def __init__(self) -> None:
        self._source_items, self._source_values = array("i"), array("f")
        self._ends = array("q", [0])
        self._items, self._values = array("i"), array("f")

    def add(self, source_items: Sequence[int], source_values: Sequence[float], item: int, value: float) -> None:
        """Append a target with its sources.

        Args:
            source_items: Numbers of the source items.
            source_values: Value of each source.
            item: Number of the target item.
            value: Value of the target.
        """
        self._source_items.extend(source_items)
        self._source_values.extend(source_values)
        self._ends.append(len(self._source_items))
        self._items.append(item)
        self._values.append(value)

    def matrices(self, size: int) -> tuple[sparse.csr_array, sparse.csr_array]:
        """Return (targets, items) values of the sources, and of the targets."""
        shape, count = (len(self._items), size), len(self._items)
        sources = sparse.csr_array(
            (
                np.array(self._source_values, np.float32),
                np.array(self._source_items, np.int32),
                np.array(self._ends, np.int64),
            ),
            shape=shape,
        )
        targets = sparse.csr_array(
            (np.array(self._values, np.float32), (np.arange(count), np.array(self._items, np.int32))), shape=shape
        )
        return sources, targets
