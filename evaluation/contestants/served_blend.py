"""The serving blend as a worker ranks with it: by weights that are published from time to time, at the stream's time.

The protocol as-served decides which events the tables hold, when a feed is made, and when it is read. The rest is here:
the shared weights of the last publication, item weights that are not refitted before the next fit would be due, the
clock of ranking, which stands at the last event, and the order of the feed that the API shows to its reader.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.contestants.blend import BlendCandidate
from evaluation.contestants.contestant import EvalContext
from evaluation.protocols.as_served import ServingDelays
from models.base import ModelEvent, ModelQuery
from models.blend.blender import Blender, Weights
from schemas.types import Features
from streams.core.learning.learner import Learner, LearnerParams
from streams.core.ranking.catalog.item_columns import Column
from streams.core.ranking.ordering import Candidates, orderings, score
from streams.core.ranking.pipeline import new_blender
from streams.core.ranking.ranking_query import order_contexts


class ServedBlend(BlendCandidate):
    """The feed of a worker with the delays of the pipeline."""

    def __init__(
        self, context: EvalContext, *, without: frozenset[str] = frozenset(), alone: str | None = None
    ) -> None:
        self._delays = context.delays or ServingDelays()
        self._published_blender, self._period = new_blender(), 0
        """The shared weights at the beginning of a period between publications, and its number."""
        super().__init__(context, without=without, alone=alone)
        self._published_blender.restore(self.learner.blender.state())

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Learn from events; the weights are published when an event begins another period."""
        for event in events:
            self._publish(event.at_ms)
            super().learn([event])

    def _publish(self, at_ms: int) -> None:
        interval_ms = self._delays.weights_ms
        if interval_ms and at_ms // interval_ms > self._period:
            self._period = at_ms // interval_ms
            if self._published_blender.outcomes != self.learner.blender.outcomes:
                self._published_blender.restore(self.learner.blender.state())

    def _new_learner(self, params: LearnerParams) -> Learner:
        return _PacedLearner(params, fit_ms=self._delays.fit_ms)

    def _offset(self, user_id: str) -> Weights | None:
        return super()._offset(user_id) if self._delays.weights_ms else None

    def _blender(self, at_ms: int) -> Blender:
        self._publish(at_ms)
        return self._published_blender

    def _ranking(self, candidates: Candidates, query: ModelQuery) -> tuple[Column, NDArray[np.intp]]:
        if self._alone is not None:
            return super()._ranking(candidates, query)
        first, *later = order_contexts(candidates.query)
        away_ms = 0 if query.read_at_ms is None else query.read_at_ms - candidates.query.features.watermark
        passed_contexts = [(from_ms, context) for from_ms, context in later if from_ms <= away_ms]
        orders = orderings(
            candidates,
            [first, *passed_contexts[-1:]],
            self._blender(query.at_ms),
            catalog=self.learner.catalog,
            params=self.learner.params.rank,
            llm=None,
        )
        return score(candidates, orders[-1].weights), orders[-1].selection

    def _ranked_at(self, features: Features, at_ms: int) -> int:
        return max(self.learner.catalog.watermark, features.watermark)


class _PacedLearner(Learner):
    """A learner with a least time between fits of the item weights."""

    def __init__(self, params: LearnerParams, *, fit_ms: int) -> None:
        super().__init__(params, refits_item_weights=fit_ms > 0)
        self._fit_ms, self._next_fit_ms = fit_ms, 0

    def fit(self) -> None:
        """Fit the item weights, unless the last fit is too recent."""
        if self.catalog.watermark >= self._next_fit_ms:
            self._next_fit_ms = self.catalog.watermark + self._fit_ms
            super().fit()
