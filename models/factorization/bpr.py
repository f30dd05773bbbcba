"""Matrix factorization by Bayesian personalized ranking (Rendle et al., UAI 2009), learned in micro-batches.

A user is represented by an embedding plus the embeddings of the last items, newest first, much as in SVD++ (Koren, KDD
2008): x = p_u + Σ_k step^k·v_k·q_k / √Σ_k step^k, where v is the confidence of the event on the item. An item scores
x·q_i + b_i. Each event ranks its item above random negatives shared by the micro-batch; so do some earlier events,
replayed with their contexts. A query brings the last items, so a click counts at once and new users are served, too.

The gradient of this loss is a few lines and written out: autograd would cost more than the computation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.base import ModelEvent, ModelQuery, Scores
from models.factorization.embedding_model import EmbeddingModel
from models.neural.event_buffer import EventBuffer
from models.refitting import confidence

_SPREAD = 0.1
_PER_ITEM = 1
"""Largest number of replayed events per item: the steps of a micro-batch add up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BprConfig:
    """Hyperparameters of BPR."""

    factors: int = 64
    learning_rate: float = 0.02
    regularization: float = 0.002
    batch: int = 50
    """Events per micro-batch."""
    replay_events: int = 30
    """Earlier events replayed with each event."""
    recency_bias: float = 2.0
    """Recency bias of replayed events; 1 is uniform."""
    buffer_capacity: int = 1_000_000
    """Capacity of the event buffer."""
    context: int = 20
    """Number of last items in the user's representation."""
    position_discount: float = 0.8
    """Discount of an item of the context relative to the next newer one."""
    dislike_confidence: float = 0.2
    negatives: int = 256
    """Random negatives per micro-batch."""


class Bpr(EmbeddingModel):
    """Embeddings of users and items, with item biases."""

    name = "bpr"

    def __init__(self, config: BprConfig = BprConfig(), *, seed: int = 0) -> None:
        """Start without embeddings.

        Args:
            config: Hyperparameters.
            seed: Seed of the embeddings and of the sampled events and negatives.
        """
        super().__init__(config.factors, spread=_SPREAD, seed=seed)  # p, q
        self._config = config
        self._steps = torch.tensor([config.position_discount**k for k in range(config.context)])
        self._bias = torch.empty(0, 1)  # b
        self._buffer = EventBuffer(config.buffer_capacity)

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Buffer each event with its context; learn whenever a micro-batch is full."""
        for event in events:
            self._buffer.add(
                *self._count(event), confidence(event.weight, dislike_confidence=self._config.dislike_confidence)
            )
            if self._buffer.count % self._config.batch == 0:
                self._grow()
                self._learn()

    def _query_scores(self, query: ModelQuery) -> Scores | None:
        """Return x·q + b, or None for a query without known items."""
        user, recent = self._users.get(query.user_id), self._embedded_items(query)[: self._config.context]
        if not recent:
            return None
        values = torch.tensor(
            [[confidence(weight, dislike_confidence=self._config.dislike_confidence) for _, weight in recent]]
        )
        x = (self._weights(values) @ self._item[[item for item, _ in recent]])[0]
        if 0 <= user < len(self._user):
            x = x + self._user[user]
        return np.asarray(torch.addmv(self._bias[:, 0], self._item, x), np.float64)

    def _weights(self, values: Tensor) -> Tensor:
        """Return (B, K) weights of the items of contexts, given (B, K) confidences, 0 for padding."""
        steps = self._steps[: values.shape[1]]
        present = (steps * (values > 0)).sum(1, keepdim=True)  # (B, 1)
        return steps * values / present.clamp(min=1e-9).sqrt()

    def _learn(self) -> None:
        config, buffer = self._config, self._buffer
        replays = min(config.batch * config.replay_events, _PER_ITEM * len(self._item))
        uniform = torch.rand(replays, generator=self._generator).numpy()
        events = np.concatenate([buffer.newest(config.batch), buffer.sample(uniform, recency_bias=config.recency_bias)])
        before = buffer.histories(events, config.context)
        user, item = torch.from_numpy(buffer.users(events)), torch.from_numpy(buffer.items(events))  # (B,)
        context = torch.from_numpy(buffer.items(before)).clamp(min=0)  # (B, K)
        weights = self._weights(torch.from_numpy(buffer.values(before)))[..., None]  # (B, K, 1)
        value = torch.from_numpy(buffer.values(events))[:, None]  # (B, 1)
        others = torch.randint(len(self._item), (config.negatives,), generator=self._generator)  # (M,)

        p, c = self._user[user], self._item[context]  # (B, D), (B, K, D)
        q, q_others = self._item[item], self._item[others]  # (B, D), (M, D)
        x = p + (weights * c).sum(1)  # (B, D)
        score, scores = (x * q).sum(1, keepdim=True) + self._bias[item], x @ q_others.T + self._bias[others].T
        pull = torch.sigmoid(scores - score) * (value / config.negatives)  # (B, M)
        pull *= item[:, None] != others
        total = pull.sum(1, keepdim=True)  # (B, 1)

        towards, keep = total * q - pull @ q_others, config.regularization  # (B, D)
        for table, at, slope in (
            (self._user, user, towards - keep * p),
            (self._item, item, total * x - keep * q),
            (self._item, others, -pull.T @ x - keep * q_others),
            (self._item, context.flatten(), (weights * (towards[:, None] - keep * c)).flatten(0, 1)),
            (self._bias, item, total),
            (self._bias, others, -pull.sum(0)[:, None]),
        ):
            table.index_add_(0, at, slope, alpha=config.learning_rate)

    def _grow(self) -> None:
        super()._grow()
        self._bias = torch.cat([self._bias, torch.zeros(len(self.items) - len(self._bias), 1)])
