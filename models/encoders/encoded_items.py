"""Encoded items: the items of a network by number, and the encoder that makes users for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.encoders.encoder_kind import user_encoder
from models.encoders.user_encoder import EncoderExport, Indices, UserEncoder, Vector
from models.vocabulary import Vocabulary


class EncodedItems:
    """Vectors of numbered items, and the user encoder of their space.

    The scores of a network are known up to a constant for each user. Here their mean over all items is 0, which is also
    the score of an item without a vector.
    """

    def __init__(self, encoder: UserEncoder, rows: NDArray[Any], has_vector: NDArray[np.bool_]) -> None:
        """Take over the items.

        Args:
            encoder: The user encoder.
            rows: (items, width) the vector, the bias, and the context vector if there is one.
            has_vector: (items,) whether each item has them.

        Raises:
            ValueError: the rows have another width.
        """
        if rows.shape[1] != encoder.width:
            raise ValueError(f"an item has {rows.shape[1]} numbers, and the encoder takes {encoder.width}")
        self._encoder, self._has_vector = encoder, has_vector
        self._contexts = rows[:, encoder.dim + 1 :] if encoder.has_context else rows[:, : encoder.dim]
        self._vectors = rows[:, : encoder.dim + 1].astype(np.float32)
        if has_vector.any():
            self._vectors -= self._vectors[has_vector].mean(axis=0)
        self._vectors[~has_vector] = 0.0

    @classmethod
    def of(cls, export: EncoderExport, names: Vocabulary) -> EncodedItems:
        """Return the items of a network, by their numbers in a vocabulary.

        Args:
            export: The network.
            names: The ids of items by number, those of the network among them.

        Raises:
            EncoderParametersError: its parameters cannot be used.
        """
        items = names.encode(export.items)
        rows, has_vector = np.zeros((len(names), export.vectors.shape[1]), np.float32), np.zeros(len(names), bool)
        rows[items], has_vector[items] = export.vectors, True
        return cls(user_encoder(export.model, export.parameters), rows, has_vector)

    def user(self, history: Indices, weights: Vector) -> Vector | None:
        """Return the vector of a user; None without an item that has one.

        Args:
            history: (m,) the user's last items, newest first.
            weights: (m,) signed weights of their events.
        """
        is_known = self._has(history)
        if not is_known.any():
            return None
        items = history[is_known]
        return self._encoder.user(items, self._contexts.take(items, axis=0).astype(np.float32), weights[is_known])

    def scores(self, user: Vector, items: Indices | slice, *, count: int) -> Vector:
        """Return (items,) scores of items for a user; 0 for items without a vector.

        Args:
            user: (dim,) vector of the user.
            items: The items.
            count: Number of all items.
        """
        query = np.append(user, np.float32(1.0))
        if not isinstance(items, slice):
            is_known = self._has(items)
            if is_known.all():
                return self._vectors.take(items, axis=0) @ query
            scores = np.zeros(len(items), np.float32)
            scores[is_known] = self._vectors.take(items[is_known], axis=0) @ query
            return scores
        scores = np.zeros(count, np.float32)
        known_count = min(len(self._vectors), count)
        np.matmul(self._vectors[:known_count], query, out=scores[:known_count])
        return scores[items]

    def _has(self, items: Indices) -> NDArray[np.bool_]:
        """Return whether each item has a vector."""
        if not len(self._has_vector):
            return np.zeros(len(items), bool)
        return self._has_vector.take(items, mode="clip") & (items < len(self._has_vector))
