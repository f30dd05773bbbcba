"""The interface of rating models, which predict a user's rating of an item on [0, 1]."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.base import ModelEvent


class RatingModel(ABC):
    """A model that learns online from events with a rating and ignores the others."""

    name: str

    @abstractmethod
    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Learn from events in order, one step per rating."""

    @abstractmethod
    def predict(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """Return (len(pairs),) ratings on [0, 1] for pairs of user and item; unknown ones get the default."""


class Frozen(RatingModel):
    """A wrapper that trains a model on its first batch, in several shuffled epochs, and ignores later batches."""

    def __init__(self, model: RatingModel, *, epochs: int, seed: int = 0) -> None:
        """Wrap a model.

        Args:
            model: The model, before any learning.
            epochs: Number of passes over the first batch.
            seed: Seed of the order of each pass.
        """
        self.name = f"frozen-{model.name}"
        self._model, self._epochs, self._seed = model, epochs, seed
        self._has_learned = False

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Learn the first batch that is not empty."""
        if self._has_learned or not events:
            return
        draw = np.random.default_rng(self._seed)
        for _ in range(self._epochs):
            self._model.learn([events[index] for index in draw.permutation(len(events))])
        self._has_learned = True

    def predict(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """Return the predictions of the model after the first batch."""
        return self._model.predict(pairs)
