"""User encoder of the deep network: attention over the last items, and a perceptron without the user's own embedding.

The network is trained with the embeddings of some users masked, so that it serves all users as it serves new ones: by
their last items. What only multiplies the user's own embedding is not exported, and the batch normalization is part of
the first linear layer.
"""

from __future__ import annotations

import numpy as np

from models.encoders.user_encoder import Arrays, Indices, UserEncoder, Vector, Vectors, is_liked


class DeepEncoder(UserEncoder):
    """Attention and perceptron of `models.neural.deep`."""

    def __init__(self, parameters: Arrays) -> None:
        """Take over the parameters.

        Args:
            parameters: `like`, `recency`, and the weights and biases of the layers.
        """
        self._like, self._recency = parameters["like"], parameters["recency"]
        self.dim = self._like.shape[1]
        self._key, self._key_bias = parameters["key"], parameters["key_bias"]
        self._query, self._query_bias = parameters["query"], parameters["query_bias"]
        self._attention = parameters["attention"]
        self._tower, self._tower_bias = parameters["tower"], parameters["tower_bias"]
        self._output, self._output_bias = parameters["output"], parameters["output_bias"]

    def user(self, items: Indices, contexts: Vectors, weights: Vector) -> Vector:
        """Return the vector after the newest item.

        Args:
            items: Not used.
            contexts: (m, dim) vectors of the last items, newest first.
            weights: (m,) signed weights of their events.
        """
        length = min(len(contexts), len(self._recency))
        states = contexts[:length] + self._like[is_liked(weights[:length])]  # (L, D), newest first
        query = states[0] @ self._query + self._query_bias
        attention = np.tanh(states @ self._key + self._key_bias + query) @ self._attention
        attention += self._recency[::-1][:length]
        shares = np.exp(attention - attention.max())
        pooled_state = shares @ states / shares.sum()
        layer = np.concatenate([pooled_state, states[0]]) @ self._tower + self._tower_bias
        vector: Vector = pooled_state + np.maximum(layer, np.float32(0)) @ self._output + self._output_bias
        return vector
