"""Base class of networks that are refitted while the stream runs, each time from the previous parameters.

A refit follows a fixed number of events; the first refits follow each doubling of the events. Between refits a model
still uses the newest history, since a query brings it. Networks draw from torch's global generator, which is seeded
before each fit and restored after it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.base import ModelEvent, ModelQuery, Scores
from models.encoders.user_encoder import Arrays
from models.fallback_model import FallbackModel
from models.neural.event_buffer import EventBuffer
from models.refitting import FIRST_REFIT_EVENTS, confidence
from models.vocabulary import Vocabulary


class Window(NamedTuple):
    """A training batch of histories, oldest first; the last column is the target."""

    users: Tensor
    """(B,)."""
    items: Tensor
    """(B, L + 1), -1 before a user's first event."""
    values: Tensor
    """(B, L + 1), 0 before a user's first event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeuralConfig:
    """Hyperparameters of the event buffer and the refit schedule."""

    refit_every: int = 200
    """Events between refits."""
    dislike_confidence: float
    """Confidence of an event that is not positive, where a click has 1."""
    buffer_capacity: int = 1_000_000
    """Number of events kept for sampling; the oldest are overwritten."""


class NeuralModel(FallbackModel):
    """Base class with event buffer and refit schedule."""

    item_tables = frozenset({"item.weight", "bias.weight"})
    _USER_TABLES: frozenset[str] = frozenset()
    """Parameters with a row for each user."""

    def __init__(self, config: NeuralConfig, *, seed: int) -> None:
        """Start untrained.

        Args:
            config: Hyperparameters.
            seed: Seed of the parameters, the sampled events and dropout.
        """
        super().__init__()
        self._refit_every, self._dislike_confidence = config.refit_every, config.dislike_confidence
        self._seed, self._draws = seed, 0
        self._users = Vocabulary()
        self._buffer = EventBuffer(config.buffer_capacity)
        self._due = FIRST_REFIT_EVENTS
        self._fitted_count = 0
        """Number of items at the last fit."""
        self.fits = 0
        """Number of fits so far."""

    @property
    def size(self) -> int:
        """Return the number of items and users in the tables."""
        return len(self.items) + len(self._users)

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Buffer each event, and refit when due."""
        for event in events:
            self.add([event])
            self.fit_if_due()

    def add(self, events: Sequence[ModelEvent]) -> None:
        """Buffer events for the next refit."""
        self._fallback.learn(events)
        for event in events:
            user, item = self._users.add(event.user_id), self.items.get(event.item_id)
            self._buffer.add(user, item, confidence(event.weight, dislike_confidence=self._dislike_confidence))

    def fit_if_due(self) -> bool:
        """Refit if it is due; return whether it was."""
        if self._buffer.count < self._due:
            return False
        with self._drawing():
            self._fit()
        self._fitted_count = len(self.items)
        self._due = self._buffer.count + min(self._buffer.count, self._refit_every)
        self.fits += 1
        return True

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the parameters and the tables of items, as copies; users' own embeddings are not part of it."""
        parameters = self._module().state_dict()
        return {name: value.numpy().copy() for name, value in parameters.items() if name not in self._USER_TABLES}

    def restore(self, items: Sequence[str], state: Arrays) -> None:
        """Continue a new model from a state.

        Args:
            items: Ids of the items in its tables.
            state: The state.

        Raises:
            KeyError: the state is that of another network.
            RuntimeError: the state is that of a network of another shape.
        """
        self.know(items)
        with self._drawing():
            self._reach_items(len(items))
        parameters = self._module().state_dict()
        for name, value in state.items():
            parameters[name] = torch.from_numpy(np.array(value)).reshape(parameters[name].shape)
        self._module().load_state_dict(parameters)
        self._module().eval()
        self._fitted_count = len(items)

    @abstractmethod
    def _module(self) -> nn.Module:
        """Return the network."""

    @abstractmethod
    def _reach_items(self, count: int) -> None:
        """Draw rows for new items in the tables of items."""

    def _query_scores(self, query: ModelQuery) -> Scores | None:
        """Return the network's scores, or None for a query without fitted items."""
        numbers = [(self.items.get(item_id), weight) for item_id, weight in query.recent]
        history = [
            (item, confidence(weight, dislike_confidence=self._dislike_confidence))
            for item, weight in numbers
            if 0 <= item < self._fitted_count
        ]
        if not history:
            return None
        return self._answer(query, [item for item, _ in history], [value for _, value in history])

    @abstractmethod
    def _fit(self) -> None:
        """Continue the fit with the new events, items and users."""

    @abstractmethod
    def _answer(self, query: ModelQuery, items: list[int], values: list[float]) -> Scores:
        """Return the scores of all fitted items for a non-empty history, newest first."""

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(hash((self._seed, self._draws)) % 2**63)
            self._draws += 1
            yield

    def _windows(self, number: int, length: int, *, recency_bias: float) -> Window:
        """Sample events, each with its user's events before it."""
        events = self._buffer.sample(torch.rand(number).numpy(), recency_bias=recency_bias)
        rows = np.column_stack([self._buffer.histories(events, length)[:, ::-1], events])
        return Window(
            torch.from_numpy(self._buffer.users(events)),
            torch.from_numpy(self._buffer.items(rows)),
            torch.from_numpy(self._buffer.values(rows)),
        )

    def _candidates(self, targets: Tensor, limit: int) -> tuple[Tensor, Tensor]:
        """Return the items of the softmax, and the index of each target among them.

        These are all items, or else the targets and random negatives, `limit` in all.
        """
        size = len(self.items)
        if size <= limit:
            return torch.arange(size), targets
        target_items = torch.unique(targets)
        negatives = torch.randint(size, (max(limit - len(target_items), 0),))
        candidates = torch.unique(torch.cat([target_items, negatives]))
        return candidates, torch.searchsorted(candidates, targets)


def grow_embedding(table: nn.Embedding, rows: int, optimizer: torch.optim.Optimizer, *, spread: float) -> None:
    """Append rows to an embedding, drawn from a normal distribution, and zeros to its optimizer state.

    Args:
        table: The embedding.
        rows: New number of rows; fewer than now change nothing.
        optimizer: The Adam optimizer of the embedding.
        spread: Standard deviation of the new rows.
    """
    old = table.weight
    if rows <= len(old):
        return
    new = nn.Parameter(torch.cat([old.detach(), spread * torch.randn(rows - len(old), old.shape[1])]))
    for group in optimizer.param_groups:
        group["params"] = [new if parameter is old else parameter for parameter in group["params"]]
    state = optimizer.state.pop(old, {})
    for key in ("exp_avg", "exp_avg_sq"):
        if key in state:
            state[key] = torch.cat([state[key], torch.zeros(rows - len(old), old.shape[1])])
    optimizer.state[new] = state
    table.weight, table.num_embeddings = new, rows
