"""Self-attention over a user's last items, as in SASRec (Kang and McAuley, ICDM 2018), fitted while the stream runs.

A causal transformer reads the last items, oldest first; the state after each of them predicts the next one over the
whole catalogue (cross-entropy, the most important choice according to Klenitskiy and Vasilev, RecSys 2023). In place of
position embeddings, attention decays with distance at a learned rate per head (Press et al., ICLR 2022), so that all
positions of a window share parameters. A refit takes a few more steps from the previous parameters, on windows sampled
with a recency bias. New items get new embedding rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.base import ModelQuery, Scores
from models.encoders.user_encoder import EncoderExport
from models.neural.neural_model import NeuralConfig, NeuralModel, Window, grow_embedding


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceConfig(NeuralConfig):
    """Hyperparameters of the sequence model."""

    dim: int = 64
    heads: int = 2
    blocks: int = 2
    length: int = 30
    """Number of last items in a window."""
    dropout: float = 0.5
    steps: int = 6
    """Training steps per refit."""
    batch: int = 32
    """Windows per step."""
    recency_bias: float = 3.0
    """Recency bias of the sampled windows; 1 is uniform."""
    learning_rate: float = 0.001
    dislike_confidence: float = 0.2
    candidates: int = 4_096
    """Items in the softmax of a step, sampled anew; all of a smaller catalogue."""


class Block(nn.Module):
    """A pre-norm transformer block: causal attention and a feed-forward layer with residual connections."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self._heads = config.heads
        self.norm, self.norm_after = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim)
        self.qkv, self.out = nn.Linear(config.dim, 3 * config.dim), nn.Linear(config.dim, config.dim)
        self.fall = nn.Parameter(torch.linspace(-4.0, 0.0, config.heads))
        self.forth, self.back = nn.Linear(config.dim, 2 * config.dim), nn.Linear(2 * config.dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor, distance: Tensor) -> Tensor:
        """Return (B, L, D) states.

        Args:
            x: (B, L, D) states of the layer before.
            mask: (B, 1, L, L) mask, true where attention is not allowed.
            distance: (L, L) steps from each query position back to each key position.
        """
        batch, length, dim = x.shape
        qkv = self.qkv(self.norm(x)).view(batch, length, 3, self._heads, dim // self._heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, H, L, D/H) each
        fall = functional.softplus(self.fall)[:, None, None] * distance  # (H, L, L)
        bias = (-fall).masked_fill(mask, -torch.inf)  # (B, H, L, L)
        context = functional.scaled_dot_product_attention(q, k, v, bias)
        x = x + self.dropout(self.out(context.transpose(1, 2).reshape(batch, length, dim)))
        further: Tensor = x + self.dropout(self.back(functional.gelu(self.forth(self.norm_after(x)))))
        return further


class SequenceNetwork(nn.Module):
    """Network from the last items, oldest first and left-padded with -1, to a state after each."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.item = nn.Embedding(0, config.dim)
        self.bias = nn.Embedding(0, 1)
        self.liked = nn.Embedding(2, config.dim)  # wire
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, items: Tensor, values: Tensor) -> Tensor:
        """Return (B, L, D) states after each item.

        Args:
            items: (B, L) items, -1 for padding.
            values: (B, L) confidences of the events, 0 for padding.
        """
        length = items.shape[1]
        x = self.item(items.clamp(min=0)) * self.item.embedding_dim**0.5 + self.liked((values >= 1).long())
        x = self.dropout(x)
        position = torch.arange(length)
        distance = position[:, None] - position  # (L, L), steps back to a key
        mask = (distance < 0) | ((items < 0)[:, None, None] & (distance != 0))  # (B, 1, L, L)
        for block in self.blocks:
            x = block(x, mask, distance)
        states: Tensor = self.norm(x)
        return states

    def score(self, states: Tensor, candidates: Tensor | slice) -> Tensor:
        """Return (…, C) scores.

        Args:
            states: (…, D) states.
            candidates: (C,) items, or a slice of them.
        """
        return states @ self.item.weight[candidates].T + self.bias.weight[candidates, 0]


class SelfAttention(NeuralModel):
    """The network with its optimizer and its event buffer."""

    name = "sequence"

    def __init__(self, config: SequenceConfig = SequenceConfig(), *, seed: int = 0) -> None:
        """Start untrained.

        Args:
            config: Hyperparameters.
            seed: Seed of the parameters, the sampled events and dropout.
        """
        super().__init__(config, seed=seed)
        self._config = config
        with self._drawing():
            self._network = SequenceNetwork(config)
        self._optimizer = torch.optim.Adam(
            self._network.parameters(), lr=config.learning_rate, betas=(0.9, 0.98), fused=True
        )

    def _fit(self) -> None:
        config, network = self._config, self._network
        self._reach_items(len(self.items))
        network.train()
        for _ in range(config.steps):
            window = self._windows(config.batch, config.length, recency_bias=config.recency_bias)
            loss = self._loss(window)
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
        network.eval()

    def export(self) -> EncoderExport:
        """Return the network as it is served, as copies."""
        state = self.state()
        vectors = np.hstack([state.pop("item.weight"), state.pop("bias.weight")])
        length = {"length": np.array(self._config.length)}
        return EncoderExport(self.name, state | length, self.items.names[: len(vectors)], vectors)

    def _module(self) -> nn.Module:
        return self._network

    def _reach_items(self, count: int) -> None:
        for table, spread in ((self._network.item, 0.02), (self._network.bias, 0.0)):
            grow_embedding(table, count, self._optimizer, spread=spread)

    def _loss(self, window: Window) -> Tensor:
        """Return the cross-entropy of the next items, weighted with the confidences of their events."""
        states = self._network(window.items[:, :-1], window.values[:, :-1])  # (B, L, D)
        real = window.items[:, :-1] >= 0
        targets, weights = window.items[:, 1:][real], window.values[:, 1:][real]  # (T,)
        candidates, targets = self._candidates(targets, self._config.candidates)
        scores = self._network.score(states[real], candidates)  # (T, C)
        return (weights * functional.cross_entropy(scores, targets, reduction="none")).sum() / weights.sum()

    @torch.inference_mode()
    def _answer(self, query: ModelQuery, items: list[int], values: list[float]) -> Scores:
        del query
        length = self._config.length
        read = torch.tensor([items[:length][::-1]]), torch.tensor([values[:length][::-1]])
        states = self._network(*read)  # (1, L, D)
        scores: Scores = self._network.score(states[0, -1], slice(None)).numpy().astype(np.float64)
        return scores
