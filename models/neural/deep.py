"""A deep network over user and item embeddings, as in YouTube's candidate generation (Covington et al., RecSys 2016).

Additive attention pools the embeddings of the last items (Bahdanau et al., ICLR 2015), and a perceptron with batch
normalization and dropout combines the pooled vector, the last item and the user's own embedding. An item's score is the
dot product with its embedding, so that a whole catalogue costs one matrix product. The loss is the cross-entropy of the
next item over the catalogue. The embeddings of some users are masked in each step, so that users without an embedding
are served from their last items alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.base import ModelQuery, Scores
from models.encoders.user_encoder import EncoderExport, Vectors
from models.neural.neural_model import NeuralConfig, NeuralModel, Window, grow_embedding


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepConfig(NeuralConfig):
    """Hyperparameters of the deep network."""

    embedding_dim: int = 128
    hidden_dim: int = 256
    length: int = 30
    """Number of last items that attention pools."""
    dropout: float = 0.2
    user_dropout: float = 0.3
    """Share of users with masked embeddings in a training step."""
    steps: int = 10
    """Training steps per refit."""
    batch: int = 128
    """Events per step."""
    recency_bias: float = 2.0
    """Recency bias of the sampled events; 1 is uniform."""
    learning_rate: float = 0.001
    dislike_confidence: float = 0.5
    candidates: int = 4_096
    """Items in the softmax of a step, sampled anew; all of a smaller catalogue."""


class DeepNetwork(nn.Module):
    """Network from a user and the last items, oldest first and left-padded with -1, to a vector."""

    def __init__(self, config: DeepConfig) -> None:
        super().__init__()
        dim, hidden_dim = config.embedding_dim, config.hidden_dim
        self.user, self.item, self.bias = nn.Embedding(0, dim), nn.Embedding(0, dim), nn.Embedding(0, 1)
        self.liked = nn.Embedding(2, dim)  # wire
        self.recency = nn.Parameter(torch.linspace(-2.0, 0.0, config.length))
        self.key, self.query, self.attention = nn.Linear(dim, dim), nn.Linear(2 * dim, dim), nn.Linear(dim, 1)
        self.tower = nn.Sequential(
            nn.Linear(3 * dim, hidden_dim),
            nn.BatchNorm1d(hidden_dim),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(hidden_dim, dim),
        )

    def forward(self, user: Tensor, items: Tensor, values: Tensor) -> Tensor:
        """Return (B, D) vectors.

        Args:
            user: (B, D) embeddings of users; zeros for none.
            items: (B, L) items, oldest first, -1 for padding.
            values: (B, L) confidences of the events, 0 for padding.
        """
        states = self.item(items.clamp(min=0)) + self.liked((values >= 1).long())  # (B, L, D)
        states = states * (items >= 0)[..., None]
        query = self.query(torch.cat([user, states[:, -1]], 1))[:, None]  # (B, 1, D)
        attention = self.attention(torch.tanh(self.key(states) + query))[..., 0] + self.recency  # (B, L)
        share = attention.masked_fill(items < 0, -1e9).softmax(1)
        pooled_states = (share[..., None] * states).sum(1)  # (B, D)
        vector: Tensor = pooled_states + self.tower(torch.cat([user, pooled_states, states[:, -1]], 1))
        return vector

    def score(self, vectors: Tensor, candidates: Tensor | slice) -> Tensor:
        """Return (B, C) scores.

        Args:
            vectors: (B, D) vectors of queries.
            candidates: (C,) items, or a slice of them.
        """
        return vectors @ self.item.weight[candidates].T + self.bias.weight[candidates, 0]


class Deep(NeuralModel):
    """The network with its optimizer and its event buffer."""

    name = "deep"
    _USER_TABLES = frozenset({"user.weight"})

    def __init__(self, config: DeepConfig = DeepConfig(), *, seed: int = 0) -> None:
        """Start untrained.

        Args:
            config: Hyperparameters.
            seed: Seed of the parameters, the sampled events and dropout.
        """
        super().__init__(config, seed=seed)
        self._config = config
        with self._drawing():
            self._network = DeepNetwork(config)
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=config.learning_rate, fused=True)

    def _fit(self) -> None:
        config, network = self._config, self._network
        grow_embedding(network.user, len(self._users), self._optimizer, spread=0.0)
        self._reach_items(len(self.items))
        network.train()
        for _ in range(config.steps):
            loss = self._loss(self._windows(config.batch, config.length, recency_bias=config.recency_bias))
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
        network.eval()

    def export(self) -> EncoderExport:
        """Return the network as it is served, as copies."""
        state, dim = self.state(), self._config.embedding_dim
        norm = self._network.tower[1]
        scale = state["tower.1.weight"] / np.sqrt(state["tower.1.running_var"] + norm.eps)
        tower = state["tower.0.weight"][:, dim:] * scale[:, None]
        tower_bias = (state["tower.0.bias"] - state["tower.1.running_mean"]) * scale + state["tower.1.bias"]
        parameters = {
            "like": state["liked.weight"],
            "recency": state["recency"],
            "key": _solid(state["key.weight"].T),
            "key_bias": state["key.bias"],
            "query": _solid(state["query.weight"][:, dim:].T),
            "query_bias": state["query.bias"],
            "attention": state["attention.weight"][0],
            "tower": _solid(tower.T),
            "tower_bias": tower_bias,
            "output": _solid(state["tower.4.weight"].T),
            "output_bias": state["tower.4.bias"],
        }
        vectors = np.hstack([state["item.weight"], state["bias.weight"]])
        return EncoderExport(self.name, parameters, self.items.names[: len(vectors)], vectors)

    def _module(self) -> nn.Module:
        return self._network

    def _reach_items(self, count: int) -> None:
        spread = self._config.embedding_dim**-0.5
        for table, table_spread in ((self._network.item, spread), (self._network.bias, 0.0)):
            grow_embedding(table, count, self._optimizer, spread=table_spread)

    def _loss(self, window: Window) -> Tensor:
        """Return the cross-entropy of the next items, weighted with the confidences of their events."""
        is_visible = torch.rand(len(window.users), 1) >= self._config.user_dropout
        users = self._network.user(window.users) * is_visible
        vectors = self._network(users, window.items[:, :-1], window.values[:, :-1])
        candidates, targets = self._candidates(window.items[:, -1], self._config.candidates)
        losses = functional.cross_entropy(self._network.score(vectors, candidates), targets, reduction="none")
        weights = window.values[:, -1]
        return (weights * losses).sum() / weights.sum()

    @torch.inference_mode()
    def _answer(self, query: ModelQuery, items: list[int], values: list[float]) -> Scores:
        config, user = self._config, self._users.get(query.user_id)
        has_embedding = 0 <= user < self._network.user.num_embeddings
        own = self._network.user.weight[[user]] if has_embedding else torch.zeros(1, config.embedding_dim)
        last, padding = min(len(items), config.length), max(config.length - len(items), 0)
        read_items = torch.tensor([[-1] * padding + items[:last][::-1]])
        read_values = torch.tensor([[0.0] * padding + values[:last][::-1]])
        vector = self._network(own, read_items, read_values)
        scores: Scores = self._network.score(vector, slice(None))[0].numpy().astype(np.float64)
        return scores


def _solid(matrix: Vectors) -> Vectors:
    return np.ascontiguousarray(matrix)
