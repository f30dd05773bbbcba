"""Item weights: the effect of a positive interaction with each item on all others, and the models that provide it.

EASE is fitted to all events whenever a fit is due. Any other model learns each event as it comes and refits itself on
its own schedule; a fit then queries it once per item, for a user who has liked only that item.
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
from models.weight import event_rating, event_weight
from schemas.types import Interaction, Item

REGULARIZATION = 500.0
"""L2 regularization of EASE."""
_LIKED = 1.0
_AT_ONCE = 64
"""Items per query of a model: each costs a row of scores over the whole catalog."""

WeightRows = NDArray[np.float32]


class ItemWeightsProvider(Protocol):
    """A provider of item weights."""

    name: str

    def add(self, event: ModelEvent, item: Item | None) -> None:
        """Learn an event on an item.

        Args:
            event: The event.
            item: The item as the catalog has it; None if unknown.
        """

    def weights(self, values: sparse.csr_array, items: Sequence[str]) -> WeightRows:
        """Return (items, items): the weight of each item, as a liked one, for the others; 0 for no effect.

        Args:
            values: (users, items) preference of each user for each item, by all events so far.
            items: Ids of the items.
        """


class EaseItemWeights:
    """The item weights of EASE."""

    name = "ease"

    def add(self, event: ModelEvent, item: Item | None) -> None:
        """Ignore the event: a fit needs only the values.

        Args:
            event: The event.
            item: The item as the catalog has it; None if unknown.
        """

    def weights(self, values: sparse.csr_array, items: Sequence[str]) -> WeightRows:
        """Return the weights, fitted to the values.

        Args:
            values: (users, items) preference of each user for each item.
            items: Ids of the items.
        """
        return ease.weights(values, REGULARIZATION)


class ModelItemWeights:
    """The scores of a model for a user who has liked one item."""

    def __init__(self, name: str, model: Model) -> None:
        """Wrap a model.

        Args:
            name: Name of the model in versions.
            model: The model, before any learning.
        """
        self.name, self.model = name, model

    def add(self, event: ModelEvent, item: Item | None) -> None:
        """Learn the event in the model.

        Args:
            event: The event.
            item: The item as the catalog has it; None if unknown.
        """
        self.model.learn([event])

    def weights(self, values: sparse.csr_array, items: Sequence[str]) -> WeightRows:
        """Return the scores; the row of an item for which the model returns its fallback is 0.

        Args:
            values: Not used: the model has learned the events.
            items: Ids of the items.
        """
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
    """The similarity of items by their texts."""

    model: ContentModel

    def __init__(self, name: str, model: ContentModel) -> None:
        """Wrap a content-based model.

        Args:
            name: Name of the model in versions.
            model: The model, before any learning.
        """
        super().__init__(name, model)
        self._texts: dict[str, str] = {}

    def add(self, event: ModelEvent, item: Item | None) -> None:
        """Learn the event, and remember the text of an item that is new to the model.

        Args:
            event: The event.
            item: The item as the catalog has it; None if unknown.
        """
        if item is not None and self.model.items.get(item.item_id) == MISSING:
            self._texts[item.item_id] = text_of(item)
        super().add(event, item)

    def weights(self, values: sparse.csr_array, items: Sequence[str]) -> WeightRows:
        """Return the similarities of the items, new texts included.

        Args:
            values: Not used: the model has learned the events.
            items: Ids of the items.
        """
        self.model.describe(self._texts)
        self._texts.clear()
        return super().weights(values, items)


def model_event(event: Interaction, *, rating_scale: float) -> ModelEvent:
    """Return an interaction with an item as an event for models.

    Args:
        event: The interaction; it must have an item.
        rating_scale: The highest rating.

    >>> rating = Interaction(event_id="e1", user_id="ann", item_id="i1", action="rate", value=4.0, occurred_at=0)
    >>> model_event(rating, rating_scale=5.0)
    ModelEvent(user_id='ann', item_id='i1', at_ms=0, weight=0.6, rating=0.8)
    """
    return ModelEvent(
        event.user_id,
        str(event.item_id),
        event.occurred_at,
        event_weight(event, rating_scale),
        event_rating(event, rating_scale),
    )
