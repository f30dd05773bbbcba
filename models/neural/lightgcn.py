"""LightGCN (He et al., SIGIR 2020): embeddings smoothed over the user-item graph, refitted while the stream runs.

With the adjacency A and degrees D, layer l + 1 is D^-½·A·D^-½ times layer l, and an embedding is the mean over layers.
Layer 0 holds the only parameters, trained with the BPR loss; a refit starts from the previous one. A user is folded in
from the layers of the query's items, by the propagation rule of one layer, so that a click and a new user count at
once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from models.base import Scores
from models.encoders.user_encoder import EncoderExport
from models.factorization.item_table import ItemTable
from models.refitting import RefittedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class LightGcnConfig:
    """Hyperparameters of LightGCN."""

    dim: int = 64
    layers: int = 3
    refit_every: int = 1_000
    """Events between refits."""
    steps: int = 20
    """Training steps per refit."""
    batch: int = 4_096
    """User-item pairs per step."""
    learning_rate: float = 0.01
    decay: float = 5e-4
    """Weight of the L2 penalty on layer 0."""
    position_discount: float = 0.8
    """Discount of a query's item relative to the next newer one."""
    dislike_confidence: float = 0.2


class LightGcn(ItemTable, RefittedModel):
    """Layer 0 of users and items, and the smoothed embeddings of items."""

    name = "lightgcn"

    def __init__(self, config: LightGcnConfig = LightGcnConfig(), *, seed: int = 0) -> None:
        """Start without embeddings.

        Args:
            config: Hyperparameters.
            seed: Seed of the embeddings and the sampled pairs.
        """
        super().__init__(
            refit_every=config.refit_every,
            dislike_confidence=config.dislike_confidence,
            position_discount=config.position_discount,
        )
        self._config = config
        self._generator = torch.Generator().manual_seed(seed)
        self._user, self._item = torch.empty(0, config.dim), torch.empty(0, config.dim)
        self._spread = np.empty((0, config.dim), np.float32)
        self._final = np.empty((0, config.dim), np.float32)

    def _refit(self, matrix: sparse.csr_array) -> None:
        config = self._config
        self._user, self._item = self._grown(self._user, matrix.shape[0]), self._grown(self._item, matrix.shape[1])
        graph, degrees = _normalized(matrix)
        back = graph.T.tocsr()
        graph, back = _tensor(graph), _tensor(back)
        pairs = matrix.tocoo()
        users, items = torch.from_numpy(pairs.row.astype(np.int64)), torch.from_numpy(pairs.col.astype(np.int64))
        values = torch.from_numpy(pairs.data)
        parameters = [self._user.requires_grad_(), self._item.requires_grad_()]
        optimizer = torch.optim.Adam(parameters, lr=config.learning_rate, fused=True)
        batch = min(config.batch, len(users))
        for _ in range(config.steps):
            sample = torch.randint(len(users), (batch,), generator=self._generator)
            user, item = users[sample], items[sample]
            other = torch.randint(len(self._item), (batch,), generator=self._generator)
            x, y = (torch.stack(layers).mean(0) for layers in self._layers(graph, back))
            ahead = (x[user] * (y[item] - y[other])).sum(1)
            length = self._user[user].square().sum() + self._item[torch.cat([item, other])].square().sum()
            loss = -(values[sample] * functional.logsigmoid(ahead)).mean() + config.decay * length / batch
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        self._user, self._item = self._user.detach(), self._item.detach()
        _, layers = self._layers(graph, back)
        self._final = torch.stack(layers).mean(0).numpy()
        inverse_norms = torch.from_numpy(1.0 / np.sqrt(np.maximum(degrees, 1e-9)))[:, None]
        self._spread = (torch.stack(layers[:-1]).sum(0) * inverse_norms / len(layers)).numpy()

    def export(self) -> EncoderExport:
        """Return the network as it is served, as copies: an item spreads its own layers to the users who act on it."""
        config, biases = self._config, np.zeros((len(self._final), 1), np.float32)
        parameters = {
            "dim": np.array(config.dim),
            "position_discount": np.array(config.position_discount),
            "dislike_confidence": np.array(config.dislike_confidence),
        }
        vectors = np.hstack([self._final, biases, self._spread])
        return EncoderExport(self.name, parameters, self.items.names[: len(vectors)], vectors)

    def _layers(self, graph: Tensor, back: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the layers of (U, D) users and of (I, D) items, given the (U, I) graph and its transpose."""
        users, items = [self._user], [self._item]
        for _ in range(self._config.layers):
            last = users[-1]
            users.append(graph @ items[-1])
            items.append(back @ last)
        return users, items

    def _grown(self, table: Tensor, rows: int) -> Tensor:
        noise = torch.randn(rows - len(table), table.shape[1], generator=self._generator)
        return torch.cat([table, 0.1 * noise])

    def _knows(self, item: int) -> bool:
        return item < len(self._final)

    def _score(self, items: NDArray[np.int64], values: NDArray[np.float64]) -> Scores:
        user = values.astype(np.float32) @ self._spread[items] / np.sqrt(values.sum())
        scores: Scores = (self._final @ user).astype(np.float64)
        return scores


def _normalized(matrix: sparse.csr_array) -> tuple[sparse.csr_array, NDArray[np.float32]]:
    """Return D^-½·A·D^-½ as (users, items), and the degrees of items."""
    user, item = np.asarray(matrix.sum(axis=1)).ravel(), np.asarray(matrix.sum(axis=0)).ravel()
    by_user, by_item = (sparse.diags_array(1.0 / np.sqrt(np.maximum(degree, 1e-9))) for degree in (user, item))
    return sparse.csr_array(by_user @ matrix @ by_item, dtype=np.float32), item.astype(np.float32)


def _tensor(matrix: sparse.csr_array) -> Tensor:
    cells = matrix.tocoo()
    indices = torch.from_numpy(np.stack(cells.coords).astype(np.int64))
    return torch.sparse_coo_tensor(indices, torch.from_numpy(cells.data), cells.shape, check_invariants=True).coalesce()
