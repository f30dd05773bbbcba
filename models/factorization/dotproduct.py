"""Context IQ's model: user and item embeddings whose cosine similarity predicts relevance.

Embeddings have unit length, so that the similarity u·c lies in [-1, 1] and the score (u·c + 1) / 2 in [0, 1]. Once per
hour of event time the model trains on the interactions of the last 7 days: 5 epochs of gradient descent on the mean
squared error, from the current embeddings. The target of an interaction is its rating, or a value derived from its
action, on [0, 1]. Random negatives with target 0 accompany each interaction; without them (`negatives=0`) all of a
user's items have similar targets, and the model predicts ratings but ranks at random.

Users without an embedding are represented by the mean embedding of their last liked items.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from domain.timestamp import DAY_MS
from models.base import ModelEvent, ModelQuery, Scores
from models.encoders.user_encoder import EncoderExport
from models.factorization.embedding_model import EmbeddingModel
from models.factorization.item_table import ItemTable


@dataclass(frozen=True, slots=True, kw_only=True)
class DotProductConfig:
    """Hyperparameters of the dot-product model."""

    embedding_dim: int = 128
    epochs: int = 5
    history_days: float = 7.0
    history_events: int = 1_000_000
    """Number of last interactions that are kept within these days."""
    retrain_s: float = 3_600.0
    """Event time between trainings, in s."""
    batch: int = 256
    learning_rate: float = 0.01
    negatives: int = 2
    """Random negatives per interaction."""


class DotProduct(ItemTable, EmbeddingModel):
    """Embeddings of users and items, and the interactions of the last days."""

    name = "dot-product"

    def __init__(self, config: DotProductConfig = DotProductConfig(), *, seed: int = 0) -> None:
        """Start without embeddings.

        Args:
            config: Hyperparameters.
            seed: Seed of the embeddings, the order of the batches and the negatives.
        """
        super().__init__(config.embedding_dim, spread=config.embedding_dim**-0.5, seed=seed)
        self._config = config
        self._history: deque[tuple[int, int, int, float]] = deque(maxlen=config.history_events)
        self._now_ms = 0
        self._due_ms: float | None = None
        self.fits = 0
        """Number of trainings so far."""

    @property
    def size(self) -> int:
        """Return the number of items and users in the tables."""
        return len(self.items) + len(self._users)

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Store each event; train first where an hour of event time has passed."""
        for event in events:
            self._now_ms = event.at_ms
            self.fit_if_due()
            self.add([event])

    def add(self, events: Sequence[ModelEvent]) -> None:
        """Store events for the next training."""
        for event in events:
            self._now_ms = event.at_ms
            if self._due_ms is None:
                self._due_ms = event.at_ms + 1_000 * self._config.retrain_s
            self._history.append((event.at_ms, *self._count(event), target_of(event)))

    def fit_if_due(self) -> bool:
        """Train if an hour of event time has passed; return whether it had."""
        if self._due_ms is None or self._now_ms < self._due_ms:
            return False
        self._train(self._now_ms)
        self._due_ms = self._now_ms + 1_000 * self._config.retrain_s
        self.fits += 1
        return True

    def export(self) -> EncoderExport:
        """Return the vectors of items, of unit length, and the rule for users without an embedding, as copies."""
        vectors = functional.normalize(self._item).numpy()
        vectors = np.hstack([vectors, np.zeros((len(vectors), 1), np.float32)])
        parameters = {"dim": np.array(self._config.embedding_dim)}
        return EncoderExport(self.name, parameters, self.items.names[: len(vectors)], vectors)

    def _query_scores(self, query: ModelQuery) -> Scores | None:
        """Return scores on [0, 1], or None for a user without an embedding and liked items."""
        vector = self._vector(query)
        if vector is None:
            return None
        return np.asarray((functional.normalize(self._item) @ vector + 1) / 2, np.float64)

    def _vector(self, query: ModelQuery) -> Tensor | None:
        user = self._users.get(query.user_id)
        if 0 <= user < len(self._user):
            return functional.normalize(self._user[user], dim=0)
        indices = [item for item, weight in self._embedded_items(query) if weight > 0]
        return functional.normalize(functional.normalize(self._item[indices]).sum(0), dim=0) if indices else None

    def _train(self, now_ms: int) -> None:
        config = self._config
        while self._history and self._history[0][0] < now_ms - config.history_days * DAY_MS:
            self._history.popleft()
        if not self._history:
            return
        self._grow()
        triples = np.array([(user, item, target) for _, user, item, target in self._history])
        users, items = (torch.from_numpy(triples[:, column].astype(np.int64)) for column in (0, 1))
        targets = torch.from_numpy(triples[:, 2].astype(np.float32))
        tables = [self._user.requires_grad_(), self._item.requires_grad_()]
        optimizer = torch.optim.Adam(tables, lr=config.learning_rate, fused=True)
        for _ in range(config.epochs):
            order = torch.randperm(len(users), generator=self._generator)
            for start in range(0, len(users), config.batch):
                rows = order[start : start + config.batch]
                user, item, target = users[rows], items[rows], targets[rows]
                negatives = torch.randint(len(self._item), (config.negatives * len(rows),), generator=self._generator)
                user, item = torch.cat([user, user.repeat(config.negatives)]), torch.cat([item, negatives])
                similar = functional.cosine_similarity(self._user[user], self._item[item])
                labels = torch.cat([target, torch.zeros(len(negatives))])
                loss = functional.mse_loss((similar + 1) / 2, labels)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        self._user, self._item = self._user.detach(), self._item.detach()


def target_of(event: ModelEvent) -> float:
    """Return an event's training target on [0, 1]: its rating, or 0.5 + weight / 4, clipped."""
    if event.rating is not None:
        return event.rating
    return min(max(0.5 + event.weight / 4, 0.0), 1.0)
