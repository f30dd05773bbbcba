"""Self-attention over a user's last items, as in SASRec (Kang and McAuley, ICDM 2018), fitted while the stream runs.

A causal transformer reads the last items, oldest first; its state after each of them is to score the next one above the
whole catalogue (cross-entropy, as Klenitskiy and Vasilev, RecSys 2023, found to matter most). Instead of positions,
attention falls off with distance at a rate that each head learns (Press et al., ICLR 2022), so that every place of
every window teaches the same thing. After some events the network takes a few steps more, on windows that lean to the
newest: a refit that starts from the last one. New items get rows of their own.
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
class SequenceConfig:
    """Sizes and rates."""

    dim: int = 64
    heads: int = 2
    blocks: int = 2
    length: int = 30
    """Last items that are read."""
    dropout: float = 0.5
    every: int = 200
    """Events between refits."""
    steps: int = 6
    """Steps of a refit."""
    batch: int = 32
    """Windows of a step."""
    lean: float = 3.0
    """How much windows lean to the newest; 1 is not at all."""
    rate: float = 0.001
    weak: float = 0.2
    candidates: int = 4_096
    """Items that a step compares with, drawn anew; all of a catalogue that has fewer."""
    remembered: int = 1_000_000


class Block(nn.Module):
    """Causal attention and a feed-forward layer, each normalized first and added."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self._heads = config.heads
        self.norm, self.norm_after = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim)
        self.qkv, self.out = nn.Linear(config.dim, 3 * config.dim), nn.Linear(config.dim, config.dim)
        self.fall = nn.Parameter(torch.linspace(-4.0, 0.0, config.heads))
        self.forth, self.back = nn.Linear(config.dim, 2 * config.dim), nn.Linear(2 * config.dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, hidden: Tensor, distance: Tensor) -> Tensor:
        """Return (B, L, D); `hidden` is true where (B, 1, L, L) must not be looked at, `distance` is (L, L)."""
        batch, length, dim = x.shape
        qkv = self.qkv(self.norm(x)).view(batch, length, 3, self._heads, dim // self._heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, H, L, D/H) each
        fall = functional.softplus(self.fall)[:, None, None] * distance  # (H, L, L)
        bias = (-fall).masked_fill(hidden, -torch.inf)  # (B, H, L, L)
        attended = functional.scaled_dot_product_attention(q, k, v, bias)
        x = x + self.dropout(self.out(attended.transpose(1, 2).reshape(batch, length, dim)))
        further: Tensor = x + self.dropout(self.back(functional.gelu(self.forth(self.norm_after(x)))))
        return further


class SequenceNetwork(nn.Module):
    """From the last items, oldest first and -1 before them, to a state after each."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.item = nn.Embedding(0, config.dim)
        self.bias = nn.Embedding(0, 1)
        self.liked = nn.Embedding(2, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, items: Tensor, values: Tensor) -> Tensor:
        """Return (B, L, D) states after (B, L) items with their values."""
        length = items.shape[1]
        x = self.item(items.clamp(min=0)) * self.item.embedding_dim**0.5 + self.liked((values >= 1).long())
        x = self.dropout(x)
        place = torch.arange(length)
        distance = place[:, None] - place  # (L, L), how far back a key lies
        hidden = (distance < 0) | ((items < 0)[:, None, None] & (distance != 0))  # (B, 1, L, L)
        for block in self.blocks:
            x = block(x, hidden, distance)
        states: Tensor = self.norm(x)
        return states

    def score(self, states: Tensor, candidates: Tensor | slice) -> Tensor:
        """Return (…, C) scores of some items."""
        return states @ self.item.weight[candidates].T + self.bias.weight[candidates, 0]


class SelfAttention(NeuralModel):
    """The network, its optimizer, and the windows it is fitted on."""

    name = "sequence"

    def __init__(self, config: SequenceConfig = SequenceConfig(), *, seed: int = 0) -> None:
        super().__init__(every=config.every, weak=config.weak, remembered=config.remembered, seed=seed)
        self._config = config
        with self._drawing():
            self._network = SequenceNetwork(config)
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=config.rate, betas=(0.9, 0.98), fused=True)

    def _fit(self) -> None:
        config, network = self._config, self._network
        for table, spread in ((network.item, 0.02), (network.bias, 0.0)):
            grow_embedding(table, len(self.items), self._optimizer, spread=spread)
        network.train()
        for _ in range(config.steps):
            window = self._windows(config.batch, config.length, lean=config.lean)
            loss = self._loss(window)
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
        network.eval()

    def _loss(self, window: Window) -> Tensor:
        """Return the cross-entropy of each next item, weighted with what the event on it said."""
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
