"""The serving blend as an evaluated model: the pure cores of the rank agent and the trainer, driven in memory.

There are two differences from serving: each list is ranked anew, as after `POST /retrieve`, and the item tables are up
to date with each event, while those of a worker lag by up to a second. `evaluation.contestants.served_blend` has
neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.contestants.contestant import EvalContext
from models.base import Model, ModelEvent, ModelQuery, Scores
from models.blend.blender import Blender, Weights
from models.blend.feature_matrix import FeatureMatrix
from models.blend.personal import PersonalWeights
from schemas.types import Features, Feed, Interaction
from streams.core.learning.learner import Learner, LearnerParams
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import ItemLabels
from streams.core.ranking.catalog.item_columns import Column
from streams.core.ranking.ordering import Candidates, order, score, weights_for
from streams.core.ranking.pipeline import build_candidates, rank
from streams.core.ranking.ranking_query import CLASSES
from streams.core.ranking.stages.features import PRIOR, weights_by_name, weights_in_order
from streams.core.user import user_state
from streams.core.user.user_state import UserState
from streams.roles.trainer.learner_params import learner_params

_NEUTRAL, _SPAN = 2.5, 2.5
LISTED = 50
"""Number of items in the order of the feed; the others follow by score."""


class BlendCandidate(Model):
    """The feed of a worker as a model."""

    name = "blend"

    def __init__(
        self, context: EvalContext, *, without: frozenset[str] = frozenset(), alone: str | None = None
    ) -> None:
        """Start untrained.

        Args:
            context: The catalogue, the seed and the settings.
            without: Features to ablate; their weights stay 0.
            alone: The feature whose values are the scores, instead of the blend's; no weights are learned.
        """
        super().__init__()
        params = learner_params(context.settings)
        rank = replace(params.rank, max_recommendations=LISTED, exact_items=1_000_000)
        self.learner = self._new_learner(replace(params, rank=rank))
        if without:
            self.learner.weights = _Ablated(without)
        self._alone = None if alone is None else weights_in_order({alone: 1.0})
        self.items = self.learner.catalog.items
        self._catalogue = {item.item_id: item for item in context.catalogue}
        self._states: dict[str, tuple[UserState, Sequence[ModelEvent]]] = {}
        """States folded from the histories of queries, with these histories."""
        self._count = 0

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Learn from events, each converted to an interaction of the stream."""
        for event in events:
            self._count += 1
            position = Position(0, self._count, self._count)
            self.learner.learn(
                interaction(event, self._count),
                position,
                item=self._catalogue.get(event.item_id),
                learn_weights=self._alone is None,
            )

    def feed(self, user_id: str) -> Feed:
        """Return the feed of a user as a worker writes it."""
        learner = self.learner
        learner.catalog.refresh()
        features = learner.features(user_id)
        return rank(features, learner.catalog, learner.blender, learner.params.rank, now_ms=learner.catalog.watermark)

    def scores(self, queries: Sequence[ModelQuery]) -> Scores:
        """Return the blended scores, with the top items in the order of the feed."""
        scores = np.full((len(queries), len(self.items)), -np.inf)
        for row, query in zip(scores, queries, strict=True):
            self._score(row, query)
        return scores

    def _score(self, row: Scores, query: ModelQuery) -> None:
        candidates = self._candidates(query)
        scores, selection = self._ranking(candidates, query)
        row[candidates.items] = scores
        top_items = candidates.items[selection]
        if len(top_items):
            row[top_items] = scores.max() + np.arange(len(top_items), 0, -1)

    def _ranking(self, candidates: Candidates, query: ModelQuery) -> tuple[Column, NDArray[np.intp]]:
        """Return (items,) scores of the candidates for a query, and the indices of those in the feed, best first."""
        weights = self._alone
        if weights is None:
            weights = weights_for(candidates.query, self._blender(query.at_ms))
        scores = score(candidates, weights)
        return scores, order(candidates, scores, self.learner.catalog, self.learner.params.rank)

    def _candidates(self, query: ModelQuery) -> Candidates:
        """Return the candidates of a user; a query with a history decides what is known of the user."""
        if query.history is None:
            return self.learner.candidates(query.user_id, query.at_ms)
        features, snapshot = self._features(query.user_id, query.history), self.learner.catalog
        snapshot.refresh_columns()
        return build_candidates(
            features, snapshot, self.learner.params.rank, at_ms=self._ranked_at(features, query.at_ms)
        )

    def _features(self, user_id: str, history: Sequence[ModelEvent]) -> Features:
        """Return the features folded from a history; the state of a history that goes on is folded on."""
        params = self.learner.params.user
        state, folded_events = self._states.get(user_id, (UserState(user_id), ()))
        if folded_events and (
            len(history) < len(folded_events) or history[len(folded_events) - 1] is not folded_events[-1]
        ):
            state, folded_events = UserState(user_id), ()
        for number, event in enumerate(history[len(folded_events) :], start=len(folded_events) + 1):
            position = Position(0, number, number)
            user_state.fold(
                state, interaction(event, number), position, subject=self._labels(event.item_id), params=params
            )
        self._states[user_id] = state, history
        offset = self._offset(user_id)
        state.weights = {} if offset is None else weights_by_name(offset)
        return user_state.snapshot(state, params)

    def _labels(self, item_id: str) -> ItemLabels:
        item = self._catalogue.get(item_id)
        if item is None:
            return ItemLabels()
        return ItemLabels.of(item)

    def _new_learner(self, params: LearnerParams) -> Learner:
        return Learner(params)

    def _offset(self, user_id: str) -> Weights | None:
        """Return the personal weights of a user, as an offset from the shared ones."""
        return self.learner.weights.offset(user_id)

    def _blender(self, at_ms: int) -> Blender:
        """Return the shared weights in service at a time."""
        return self.learner.blender

    def _ranked_at(self, features: Features, at_ms: int) -> int:
        """Return the time of a ranking in the stream, for a query at a time."""
        return at_ms


class _Ablated(PersonalWeights):
    """Personal weights with some features fixed at 0, so that the others are learned without them."""

    def __init__(self, without: frozenset[str]) -> None:
        super().__init__(Blender({name: weight * (name not in without) for name, weight in PRIOR.items()}, CLASSES))
        self._mask = np.array([name not in without for name in PRIOR], np.float32)

    def learn(self, user_id: str, features: FeatureMatrix, *args: Any, **kwargs: Any) -> None:
        """Learn from one outcome with the ablated features masked."""
        super().learn(
            user_id, FeatureMatrix([(rows * self._mask, block) for rows, block in features.blocks]), *args, **kwargs
        )


def interaction(event: ModelEvent, number: int) -> Interaction:
    """Return the interaction for a model event."""
    has_rating = event.rating is not None and event.weight < 1.0
    return Interaction(
        event_id=str(number),
        user_id=event.user_id,
        item_id=event.item_id,
        action="rate" if has_rating or event.rating == 1.0 else "click",
        value=_NEUTRAL + _SPAN * event.weight if event.rating is not None else None,
        occurred_at=event.at_ms,
    )
