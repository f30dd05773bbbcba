"""A deep network over user and item embeddings, as in YouTube's candidate generation (Covington et al., RecSys 2016).

Attention picks from the last items what tells most about the user (Bahdanau et al., ICLR 2015), and a perceptron with
batch normalization and dropout makes one vector of that, of the last item and of the user's own embedding. An item's
score is the vector's product with the item's embedding, so that a whole catalogue costs one product. It is fitted to
score the next item above the whole catalogue (cross-entropy). Some users are hidden from each step, so that one that
has no embedding yet is served from the last items alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.base import ModelQuery, Scores
from models.neural.neural_model import NeuralModel, Window, grow_embedding


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepConfig:
    """Sizes and rates."""

    embedding_dim: int = 128
    hidden: int = 256
    length: int = 30
    """Last items that attention looks at."""
    dropout: float = 0.2
    unnamed: float = 0.3
    """Share of users hidden from a step."""
    every: int = 200
    """Events between refits."""
    steps: int = 10
    """Steps of a refit."""
    batch: int = 128
    """Events of a step."""
    lean: float = 2.0
    """How much events lean to the newest; 1 is not at all."""
    rate: float = 0.001
    weak: float = 0.5
    candidates: int = 4_096
    """Items that a step compares with, drawn anew; all of a catalogue that has fewer."""
    remembered: int = 1_000_000


class DeepNetwork(nn.Module):
    """From a user and the last items, oldest first and -1 before them, to a vector."""

    def __init__(self, config: DeepConfig) -> None:
        super().__init__()
        dim, hidden = config.embedding_dim, config.hidden
        self.user, self.item, self.bias = nn.Embedding(0, dim), nn.Embedding(0, dim), nn.Embedding(0, 1)
        self.liked = nn.Embedding(2, dim)
        self.recency = nn.Parameter(torch.linspace(-2.0, 0.0, config.length))
        self.key, self.query, self.attention = nn.Linear(dim, dim), nn.Linear(2 * dim, dim), nn.Linear(dim, 1)
        self.tower = nn.Sequential(
            nn.Linear(3 * dim, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(hidden, dim),
        )

    def forward(self, user: Tensor, items: Tensor, values: Tensor) -> Tensor:
        """Return (B, D) vectors for (B, D) users and (B, L) items with their values."""
        states = self.item(items.clamp(min=0)) + self.liked((values >= 1).long())  # (B, L, D)
        states = states * (items >= 0)[..., None]
        query = self.query(torch.cat([user, states[:, -1]], 1))[:, None]  # (B, 1, D)
        attention = self.attention(torch.tanh(self.key(states) + query))[..., 0] + self.recency  # (B, L)
        share = attention.masked_fill(items < 0, -1e9).softmax(1)
        picked = (share[..., None] * states).sum(1)  # (B, D)
        vector: Tensor = picked + self.tower(torch.cat([user, picked, states[:, -1]], 1))
        return vector

    def score(self, vectors: Tensor, candidates: Tensor | slice) -> Tensor:
        """Return (B, C) scores of some items."""
        return vectors @ self.item.weight[candidates].T + self.bias.weight[candidates, 0]


class Deep(NeuralModel):
    """The network, its optimizer, and the events it is fitted on."""

    name = "deep"

    def __init__(self, config: DeepConfig = DeepConfig(), *, seed: int = 0) -> None:
        super().__init__(every=config.every, weak=config.weak, remembered=config.remembered, seed=seed)
        self._config = config
        with self._drawing():
            self._network = DeepNetwork(config)
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=config.rate, fused=True)

    def _fit(self) -> None:
        config, network = self._config, self._network
        for table, rows, spread in (
            (network.user, len(self._users), 0.0),
            (network.item, len(self.items), config.embedding_dim**-0.5),
            (network.bias, len(self.items), 0.0),
        ):
            grow_embedding(table, rows, self._optimizer, spread=spread)
        network.train()
        for _ in range(config.steps):
            loss = self._loss(self._windows(config.batch, config.length, lean=config.lean))
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
        network.eval()

    def _loss(self, window: Window) -> Tensor:
        """Return the cross-entropy of each next item, weighted with what the event on it said."""
        is_visible = torch.rand(len(window.users), 1) >= self._config.unnamed
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
