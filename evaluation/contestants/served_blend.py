"""The serving blend as a worker ranks with it: by weights that are published from time to time, at the stream's time.

The protocol as-served decides which events the tables hold, when a feed is made, and when it is read. The rest is here:
the shared weights of the last publication, item weights that are not refitted before the next fit would be due, the
clock of ranking, which stands at the last event, the order of the feed that the API shows to its reader, and weights
that are learned from the feeds that users were shown.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.contestants.blend import BlendCandidate
from evaluation.contestants.contestant import EvalContext
from evaluation.protocols.as_served import ServingDelays
from models.base import ModelEvent, ModelQuery
from models.blend.blender import Blender, Weights
from schemas.types import Features, Interaction
from streams.core.learning.choices import choice_record, learn_choice
from streams.core.learning.learner import Learner, LearnerParams
from streams.core.ranking.catalog.item_columns import Column
from streams.core.ranking.ordering import Candidates, orderings, score
from streams.core.ranking.pipeline import build_candidates, new_blender, select_for_feed, stream_time_ms
from streams.core.ranking.ranking_query import order_contexts
from streams.core.ranking.served_feeds import ServedFeed, ServedFeeds


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
        return PacedLearner(params, self._delays)

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
        return stream_time_ms(features, self.learner.catalog)


class PacedLearner(Learner):
    """A learner as in service: of weights from the feeds that users were shown, and with a least time between fits."""

    def __init__(self, params: LearnerParams, delays: ServingDelays) -> None:
        """Start from nothing.

        Args:
            params: Parameters of the folds and of the ranking.
            delays: The delays of the pipeline.
        """
        super().__init__(params, refits_item_weights=delays.fit_ms > 0)
        self._delays, self._next_fit_ms = delays, 0
        self._feeds = ServedFeeds()
        self._rankings: list[tuple[int, str, int]] = []
        """A heap of due rankings: time in ms, user, and time of the user's last event then."""
        self._last_ms: dict[str, int] = {}

    def fit(self) -> None:
        """Fit the item weights, unless the last fit is too recent."""
        if self.catalog.watermark >= self._next_fit_ms:
            self._next_fit_ms = self.catalog.watermark + self._delays.fit_ms
            super().fit()

    def learn_choice_from(self, event: Interaction, *, is_liked: bool) -> None:
        """Learn weights from an action, if it is the choice of an item from the user's feed."""
        user_id, item_id = event.user_id, event.item_id or ""
        if user_id not in self._feeds:
            self._feeds.put_default(self._ranked(""))
        outcome = self._feeds.act(user_id, item_id, at_ms=event.occurred_at, is_positive=is_liked)
        choice = None if outcome is None else choice_record(outcome, event, share=self._share(event))
        if choice is not None:
            learn_choice(self.weights, choice)

    def _learn_weights(self, event: Interaction, *, is_liked: bool) -> None:
        at_ms, delays = event.occurred_at, self._delays
        while self._rankings and self._rankings[0][0] <= at_ms:
            due_ms, user_id, last_ms = heapq.heappop(self._rankings)
            if last_ms == self._last_ms[user_id]:
                self._feeds.put(user_id, self._ranked(user_id))
                if delays.rerank_ms and due_ms + delays.rerank_ms - last_ms <= delays.inactive_ms:
                    heapq.heappush(self._rankings, (due_ms + delays.rerank_ms, user_id, last_ms))
        self.learn_choice_from(event, is_liked=is_liked)
        if self._last_ms.get(event.user_id) != at_ms:
            self._last_ms[event.user_id] = at_ms
            heapq.heappush(self._rankings, (at_ms + delays.feed_ms, event.user_id, at_ms))

    def _ranked(self, user_id: str) -> ServedFeed:
        """Return the feed of a user by what has been learned so far."""
        features, catalog = self.features(user_id), self.catalog
        catalog.refresh_columns()
        at_ms = stream_time_ms(features, catalog)
        candidates = build_candidates(features, catalog, self.params.rank, at_ms=at_ms)
        feed_selection = select_for_feed(candidates, catalog, self.blender, self.params.rank)
        return ServedFeed(features.watermark, at_ms, ((0, ()),), feed_selection.choice_set)
