"""User encoders that fold a user in from the vectors of the last items."""

from __future__ import annotations

import numpy as np

from models.encoders.user_encoder import Arrays, Indices, UserEncoder, Vector, Vectors
from models.refitting import NEGLIGIBLE


class GraphEncoder(UserEncoder):
    """The propagation rule of one layer of LightGCN: see `models.neural.lightgcn`."""

    has_context = True

    def __init__(self, parameters: Arrays) -> None:
        """Take over the parameters.

        Args:
            parameters: `dim`, `position_discount` and `dislike_confidence`.
        """
        self.dim = int(parameters["dim"].item())
        discount = float(parameters["position_discount"].item())
        length = 1_000 if discount >= 1.0 else int(np.log(NEGLIGIBLE) / np.log(discount)) + 1
        self._discounts = (discount ** np.arange(length)).astype(np.float32)
        self._dislike_confidence = np.float32(parameters["dislike_confidence"].item())

    def user(self, items: Indices, contexts: Vectors, weights: Vector) -> Vector | None:
        """Return the sum of the context vectors, each item once, over the root of the confidences.

        Args:
            items: (m,) the last items, newest first.
            contexts: (m, dim) their context vectors.
            weights: (m,) signed weights of their events.
        """
        _, first = np.unique(items[: len(self._discounts)], return_index=True)
        confidences = np.where(weights > 0, np.minimum(weights + np.float32(0.5), 1), self._dislike_confidence)
        values = confidences[first] * self._discounts[first]
        total = values.sum()
        if total <= 0.0:
            return None
        vector: Vector = values @ contexts[first] / np.sqrt(total)
        return vector


class MeanEncoder(UserEncoder):
    """The direction of the mean of liked items, as the dot-product model has it for users without an embedding."""

    def __init__(self, parameters: Arrays) -> None:
        """Take over the parameters.

        Args:
            parameters: `dim`.
        """
        self.dim = int(parameters["dim"].item())

    def user(self, items: Indices, contexts: Vectors, weights: Vector) -> Vector | None:
        """Return the vector of unit length.

        Args:
            items: Not used.
            contexts: (m, dim) vectors of the last items, of unit length.
            weights: (m,) signed weights of their events.
        """
        total = (weights > 0).astype(np.float32) @ contexts
        length = np.linalg.norm(total)
        if length <= 0.0:
            return None
        vector: Vector = total / length
        return vector
