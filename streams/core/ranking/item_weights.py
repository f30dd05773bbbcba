"""Tastes: what a liking of each item says of the others, and the models that can be asked for it.

EASE is fitted to all events at once when a fit is due. Any other model learns each event as it comes, and refits itself
on its own schedule; a fit then asks it once for each item, as if that were all that someone had liked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.base import Model, ModelEvent, ModelQuery
from models.factorization import ease
from models.text.content import ContentModel
from models.text.tfidf import text_of
from models.vocabulary import MISSING
from models.weight import RATING_SCALE, rating_of, weight_of
from schemas.types import Interaction, Item

REGULARIZATION = 500.0
"""That of EASE."""
_LIKED = 1.0
_AT_ONCE = 64
"""Items that a model is asked for at once: each costs a row of scores over the whole catalogue."""

Weights = NDArray[np.float32]


class ItemWeightsProvider(Protocol):
    """Where tastes come from."""

    name: str

    def add(self, event: ModelEvent, item: Item | None) -> None:
        """Learn an event on an item, with what the catalogue says of the item where that is known."""

    def weights(self, values: sparse.csr_array, items: Sequence[str]) -> Weights:
        """Return (items, items) what a liking of each item says of the others, 0 where that is nothing.

        Args:
            values: (users, items) how much each user cares for each of the items, by all events so far.
            items: The items that count.
        """


class EaseItemWeights:
    """The weights of EASE."""

    name = "ease"

    def add(self, event: ModelEvent, item: Item | None) -> None:
        """Learn nothing: a fit has all it needs in the values."""

    def weights(self, values: sparse.csr_array, items: Sequence[str]) -> Weights:
        """Return the weights, fitted to the values."""
        return ease.weights(values, REGULARIZATION)


class ModelItemWeights:
    """The scores of a model for whoever has liked one item."""

    def __init__(self, name: str, model: Model) -> None:
        self.name, self.model = name, model

    def add(self, event: ModelEvent, item: Item | None) -> None:
        """Have the model learn the event."""
        self.model.learn([event])

    def weights(self, values: sparse.csr_array, items: Sequence[str]) -> Weights:
        """Return the scores; the row of an item that the model has nothing to say of is 0."""
        model, weights = self.model, np.zeros((len(items), len(items)), np.float32)
        if not items:
            return weights
        indices = model.items.encode(items)
        is_known = indices >= 0
        fallback = model.scores([ModelQuery("")])[0]
        for start in range(0, len(items), _AT_ONCE):
            scores = model.scores([ModelQuery("", ((item, _LIKED),)) for item in items[start : start + _AT_ONCE]])
            has_score = np.isfinite(scores) & (scores != fallback).any(axis=1, keepdims=True)
            weights[start : start + len(scores), is_known] = np.where(has_score, scores, 0.0)[:, indices[is_known]]
        np.fill_diagonal(weights, 0.0)
        return weights


class ContentItemWeights(ModelItemWeights):
    """The likeness of items by their texts."""

    model: ContentModel

    def __init__(self, name: str, model: ContentModel) -> None:
        super().__init__(name, model)
        self._texts: dict[str, str] = {}

    def add(self, event: ModelEvent, item: Item | None) -> None:
        """Hear of the item, and remember what it says of itself."""
        if item is not None and self.model.items.get(item.item_id) == MISSING:
            self._texts[item.item_id] = text_of(item)
        super().add(event, item)

    def weights(self, values: sparse.csr_array, items: Sequence[str]) -> Weights:
        """Return how like each other the items are, new texts included."""
        self.model.describe(self._texts)
        self._texts.clear()
        return super().weights(values, items)


def model_event(event: Interaction, rating_scale: float = RATING_SCALE) -> ModelEvent:
    """Return an interaction on an item as models see it."""
    return ModelEvent(
        event.user_id,
        str(event.item_id),
        event.occurred_at,
        weight_of(event.action, event.value, rating_scale),
        rating_of(event.action, event.value, rating_scale),
    )
