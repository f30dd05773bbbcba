"""Item embeddings by sampled softmax, learned from a stream in mini-batches.

An example is an item that a user acted on after others. The user is the sum of the embeddings of the last items,
newest first: x = Σ_k step^k·q_k / √Σ_k step^k. An item scores x·q_i + b_i, and its likelihood among random other
items is raised (sampled softmax: Jean et al., ACL 2015; items as context and as targets share one table, as in
item2vec: Barkan and Koenigstein, 2016). Each mini-batch is learned with earlier examples, the newer the more often.
Users need no embeddings of their own: a new event counts at once, and so does a new user.

The first embedding of an item is a function of its id. So processes that learn the embeddings of different items
learn them in one space: each changes its own, and reads those of the others. An item without events may have a mapped
embedding, which its text tells (`models.factorization.text_mapping`): it is scored by that, and makes up no user.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.growth import padded
from models.vocabulary import Vocabulary

DIMENSIONS = 128

Vector = NDArray[np.float32]
Indices = NDArray[np.int32]
_SPREAD = np.float32(0.1)
"""Standard deviation of the numbers of a first embedding."""

_MOVED = 0.2
"""Distance that an embedding has moved since it was indexed, as a share of its length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingConfig:
    """Hyperparameters of item embeddings."""

    dimensions: int = DIMENSIONS
    learning_rate: float = 0.05
    regularization: float = 0.002
    context: int = 20
    """Number of last items that make up a user."""
    position_discount: float = 0.85
    """Discount of a context item relative to the next newer one."""
    negatives: int = 32
    """Sampled items for each example."""
    replayed_examples: int = 4
    """Earlier examples learned with each example."""
    replay_capacity: int = 200_000
    """Number of last examples that are replayed."""


class ItemEmbeddings:
    """Embeddings and biases of numbered items."""

    def __init__(self, names: Vocabulary, config: EmbeddingConfig = EmbeddingConfig()) -> None:
        """Start without embeddings.

        Args:
            names: The ids of the items by number.
            config: Hyperparameters.
        """
        self.config = config
        self._names = names
        self._discounts = np.float32(config.position_discount) ** np.arange(config.context, dtype=np.float32)
        self._vectors = np.zeros((0, config.dimensions + 1), np.float32)
        """The embedding of each item, and its bias as the last number."""
        self._has_vector, self._is_own = np.zeros(0, bool), np.zeros(0, bool)
        """Whether each item has an embedding, and whether it is learned here: others are received."""
        self._is_mapped, self._event_counts = np.zeros(0, bool), np.zeros(0, np.int64)
        """Whether each item without an embedding has a mapped one, and the number of events on each item."""
        self._changed_items: dict[int, None] = {}
        """Items with changed embeddings, oldest change first, cleared by `drain`."""
        self._items, self._lengths = np.zeros(0, np.int32), np.zeros(0, np.int32)
        self._contexts = np.zeros((0, config.context), np.int32)
        self._weights = np.zeros(0, np.float32)
        self._count = self._learned_count = 0
        """Examples added, and examples learned."""

    @property
    def waiting(self) -> int:
        """Return the number of examples that the next mini-batch will learn."""
        return self._count - self._learned_count

    @property
    def changed_count(self) -> int:
        """Return the number of items with embeddings changed since `drain`."""
        return len(self._changed_items)

    def add(self, item: int, context: Indices, weight: float, *, is_own: bool = True) -> None:
        """Add an example to the next mini-batch; one without a context is ignored.

        Args:
            item: The item.
            context: (m,) the user's items before it, newest first.
            weight: Weight of the example, from 0 to 1.
            is_own: Whether the item's embedding is learned here.
        """
        context = context[: self.config.context]
        if is_own:
            self._begin(item)
        if not len(context) or not is_own:
            return
        slot = self._count % self.config.replay_capacity
        if slot == len(self._items):
            self._make_room()
        self._items[slot], self._lengths[slot], self._weights[slot] = item, len(context), weight
        self._contexts[slot, : len(context)] = context
        self._count += 1

    def learn(self) -> None:
        """Learn the examples added since the last call, as one mini-batch, after earlier ones."""
        config, new = self.config, min(self.waiting, len(self._items))
        if not new:
            return
        from models.factorization import embedding_kernels  # with numba, which costs 80 MB: most roles only read

        draw = np.random.default_rng(self._count)
        buffer_size = min(self._count, config.replay_capacity)
        back = (buffer_size * draw.random(config.replayed_examples * new) ** 2).astype(np.int64)
        numbers = self._count - 1 - np.concatenate([back, np.arange(new)[::-1]])
        slots = numbers % config.replay_capacity
        items, lengths, contexts = self._items[slots], self._lengths[slots], self._contexts[slots]
        self._reach(int(contexts.max(initial=0)) + 1)
        own = np.flatnonzero(self._is_own).astype(np.int32)
        negatives = own[draw.integers(0, len(own), (len(slots), config.negatives))]
        embedding_kernels.learn(
            self._vectors,
            self._is_own,
            np.concatenate([negatives, items[:, None]], axis=1),
            contexts,
            lengths,
            self._weights[slots],
            self._discounts,
            config.learning_rate,
            config.regularization,
        )
        self._mark(items[-new:], contexts[-new:], lengths[-new:])
        self._learned_count = self._count

    def put(self, item: int, vector: Vector, bias: float, *, event_count: int = 0, is_own: bool = False) -> None:
        """Set the embedding of an item, as it was published.

        Args:
            item: The item.
            vector: (dimensions,) its embedding.
            bias: Its bias.
            event_count: Number of events that it was learned from.
            is_own: Whether it is learned here from now on.

        Raises:
            ValueError: the embedding has another length.
        """
        self._reach(item + 1)
        self._vectors[item, :-1], self._vectors[item, -1] = vector, bias
        self._has_vector[item], self._is_mapped[item], self._event_counts[item] = True, False, event_count
        self._is_own[item] |= is_own

    def put_mapped(self, items: Indices, embeddings: NDArray[np.float32]) -> None:
        """Add mapped embeddings, by which items score until they have one of their own; items that have one keep it.

        Args:
            items: (n,) the items.
            embeddings: (n, dimensions + 1) their mapped embeddings, each followed by its bias.
        """
        self._reach(int(items.max(initial=-1)) + 1)
        is_new = ~self._has_vector[items]
        items = items[is_new]
        self._vectors[items], self._is_mapped[items] = embeddings[is_new], True

    def drop_mapped(self, items: Indices) -> None:
        """Forget the mapped embeddings of items.

        Args:
            items: (n,) items that have one.
        """
        self._vectors[items], self._is_mapped[items] = 0.0, False

    def remove(self, item: int) -> None:
        """Forget the embedding of an item."""
        if 0 <= item < len(self._has_vector):
            self._has_vector[item] = self._is_own[item] = self._is_mapped[item] = False
            self._vectors[item], self._event_counts[item] = 0.0, 0
            self._changed_items.pop(item, None)

    def drain(self, limit: int) -> list[int]:
        """Return up to `limit` items with changed embeddings, the oldest changes first, and clear their marks."""
        items = list(islice(self._changed_items, limit))
        for item in items:
            del self._changed_items[item]
        return items

    def embedding(self, item: int) -> tuple[Vector, float]:
        """Return the embedding and the bias of an item that has one."""
        return self._vectors[item, :-1], float(self._vectors[item, -1])

    def with_biases(self, items: Indices) -> NDArray[np.float32]:
        """Return (items, dimensions + 1) embeddings of items that have one, own or mapped, followed by the bias."""
        return self._vectors[items]

    def has(self, items: Indices) -> NDArray[np.bool_]:
        """Return (items,) whether each item has an embedding of its own."""
        return _flags(self._has_vector, items)

    def is_scored(self, items: Indices) -> NDArray[np.bool_]:
        """Return (items,) whether each item has an embedding, its own or a mapped one."""
        return _flags(self._has_vector, items) | _flags(self._is_mapped, items)

    @property
    def mapped_items(self) -> Indices:
        """Return the items with mapped embeddings, in ascending order."""
        return np.flatnonzero(self._is_mapped).astype(np.int32)

    def event_counts(self, items: Indices) -> NDArray[np.int64]:
        """Return (items,) the number of events on each item that has an embedding of its own."""
        return self._event_counts[items]

    def user(self, history: Indices) -> Vector | None:
        """Return the (dimensions,) embedding of a user, or None without an item that has one.

        Args:
            history: (m,) the user's last items, newest first.
        """
        history = history[: self.config.context]
        discounts = self._discounts[: len(history)] * self.has(history)
        total = discounts.sum()
        if total <= 0.0:
            return None
        vectors = self._vectors.take(history, axis=0, mode="clip")
        embedding: Vector = discounts @ vectors[:, :-1] / np.sqrt(total)
        return embedding

    def scores(self, user: Vector, items: Indices | slice, *, count: int) -> Vector:
        """Return (items,) log-odds of items for a user; 0 for items without an embedding.

        Args:
            user: (dimensions,) embedding of the user.
            items: The items.
            count: Number of all items.
        """
        self._reach(count)
        vectors = self._vectors[:count][items] if isinstance(items, slice) else self._vectors.take(items, axis=0)
        return vectors @ np.append(user, np.float32(1.0))

    def _mark(self, items: Indices, contexts: Indices, lengths: Indices) -> None:
        """Mark the items of new examples as changed; sampled ones change little."""
        is_used = np.arange(contexts.shape[1]) < lengths[:, None]
        changed_items = np.concatenate([items, contexts[is_used]])
        self._changed_items.update(dict.fromkeys(changed_items[self._is_own[changed_items]].tolist()))

    def _begin(self, item: int) -> None:
        """Own an item and count an event on it; one without an embedding gets its first."""
        self._reach(item + 1)
        if not self._has_vector[item]:
            self._vectors[item, :-1] = first_embedding(self._names.names[item], self.config.dimensions)
            self._vectors[item, -1], self._is_mapped[item] = 0.0, False
        self._has_vector[item] = self._is_own[item] = True
        self._event_counts[item] += 1

    def _reach(self, count: int) -> None:
        """Make room for as many items."""
        if count > len(self._vectors):
            room = max(count, len(self._names), 64) * 3 // 2
            self._vectors = padded(self._vectors, room)
            self._has_vector, self._is_own = padded(self._has_vector, room), padded(self._is_own, room)
            self._is_mapped, self._event_counts = padded(self._is_mapped, room), padded(self._event_counts, room)

    def _make_room(self) -> None:
        """Double the room for examples, up to the capacity."""
        room = min(max(2 * len(self._items), 1_024), self.config.replay_capacity)
        self._items, self._lengths = padded(self._items, room), padded(self._lengths, room)
        self._weights, self._contexts = padded(self._weights, room), padded(self._contexts, room)


def _flags(flags: NDArray[np.bool_], items: Indices) -> NDArray[np.bool_]:
    """Return the flags of items; False for those beyond the last."""
    if not len(flags):
        return np.zeros(len(items), bool)
    return flags.take(items, mode="clip") & (items < len(flags))


def has_moved(embeddings: NDArray[np.float32], former: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Return (n,) whether embeddings have moved a part of their lengths, so that it pays to index them again.

    Args:
        embeddings: (n, d) the embeddings.
        former: (n, d) the embeddings as they are indexed.
    """
    distances = np.linalg.norm(embeddings - former, axis=1)
    return np.asarray(distances > _MOVED * np.linalg.norm(embeddings, axis=1))


def first_embedding(item_id: str, dimensions: int) -> Vector:
    """Return the embedding that an item starts with: random numbers that depend on nothing but its id.

    Args:
        item_id: The item.
        dimensions: Length of the embedding.
    """
    seed = int.from_bytes(blake2b(item_id.encode(), digest_size=8).digest(), "little")
    return _SPREAD * np.random.default_rng(seed).standard_normal(dimensions, np.float32)
