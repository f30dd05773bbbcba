"""User encoder: the part of a network that workers run, in numpy.

The score of an item is an inner product: the vector of the user times the vector of the item, plus the item's bias. A
network is trained with torch and exported as the vectors of items and the parameters of its encoder, which makes the
vector of a user from the last items. So an event counts at once, and a new user has a vector after one event.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.base import ModelEvent, ModelQuery, Scores
from models.vocabulary import Vocabulary

Vector = NDArray[np.float32]
Vectors = NDArray[np.float32]
Indices = NDArray[np.int32]
Arrays = Mapping[str, NDArray[Any]]

FULL_WEIGHT = 0.5
"""Weight of an event from which a network takes its item for liked: its confidence is 1."""


class UserEncoder(ABC):
    """Makes the vector of a user from the last items."""

    dim: int
    """Length of the vector of a user."""
    has_context = False
    """Whether an item has another vector as one that a user has acted on than as one to score."""

    @property
    def width(self) -> int:
        """Return the number of numbers of an item: its vector, its bias, and its context vector if it has one."""
        return self.dim + 1 + self.dim * self.has_context

    @abstractmethod
    def user(self, items: Indices, contexts: Vectors, weights: Vector) -> Vector | None:
        """Return the (dim,) vector of a user; None if the items say nothing.

        Args:
            items: (m,) the user's last items that have vectors, newest first; at least one.
            contexts: (m, dim) their vectors, or their context vectors if they have any.
            weights: (m,) signed weights of their events.
        """


@dataclass(frozen=True, slots=True)
class EncoderExport:
    """A network as it is served."""

    model: str
    """Name of the network."""
    parameters: Arrays
    """Parameters of its user encoder."""
    items: Sequence[str]
    """Ids of its items."""
    vectors: Vectors
    """(items, width) for each item the vector, the bias, and the context vector if there is one."""


class EncoderModel(Protocol):
    """A network that can be served by a user encoder."""

    name: str
    items: Vocabulary
    fits: int
    """Number of fits so far."""
    item_tables: frozenset[str]
    """Names of the arrays of a state that have a row for each item."""

    @property
    def size(self) -> int:
        """Return the number of items and users in its tables."""
        ...

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Learn from events, in order."""
        ...

    def add(self, events: Sequence[ModelEvent]) -> None:
        """Add events to those that fits learn from."""
        ...

    def fit_if_due(self) -> bool:
        """Continue the fit if it is due; return whether it was."""
        ...

    def scores(self, queries: Sequence[ModelQuery]) -> Scores:
        """Return (len(queries), len(items)) scores."""
        ...

    def export(self) -> EncoderExport:
        """Return the network as of the last fit, as copies."""
        ...

    def state(self) -> Arrays:
        """Return all that learning goes on from but the events, without what belongs to single users, as copies."""
        ...

    def restore(self, items: Sequence[str], state: Arrays) -> None:
        """Continue a new model from a state.

        Args:
            items: Ids of the items in its tables.
            state: The state.
        """
        ...


def is_liked(weights: Vector) -> NDArray[np.intp]:
    """Return 1 for each event whose item a network takes for liked, 0 for others.

    >>> is_liked(np.array([1.0, 0.5, 0.2, -1.0], np.float32)).tolist()
    [1, 1, 0, 0]
    """
    return (weights >= FULL_WEIGHT).astype(np.intp)
