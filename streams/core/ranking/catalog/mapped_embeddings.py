"""Mapped embeddings: items without events are scored by what their texts tell about the embeddings of other items.

The text mapping is fitted to a sample of the learned items, and again when many of their embeddings have changed. Items
are mapped in batches, so that ranking never waits long for them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.factorization.item_embeddings import Indices, ItemEmbeddings
from models.factorization.text_mapping import MIN_ITEMS, TextMapping
from models.growth import padded
from streams.core.ranking.catalog.content_index import ContentIndex
from streams.core.ranking.catalog.embedding_index import EmbeddingIndex

_SAMPLE = 3_000
"""Items that a fit reads: some 0.1 s, with their texts."""
_MIN_EVENTS = 5
"""Events that an item needs: a first embedding is random."""
_GROWTH = 1.25
"""Number of learned items, relative to that of the last fit, from which on the next is due."""
_CHANGES, _CHANGES_PER_ITEM = 20_000, 10
"""Changes of embeddings after which the next fit is due: this number, and this number for each learned item."""
_AT_ONCE, _AT_ONCE_BUSY = 500, 50
"""Items mapped per batch, and while an index lags behind."""


class MappedEmbeddings:
    """Maps the texts of items without embeddings of their own."""

    def __init__(self, embeddings: ItemEmbeddings, content_index: ContentIndex, index: EmbeddingIndex) -> None:
        """Start without a mapping.

        Args:
            embeddings: The embeddings to learn from, and to add mapped ones to.
            content_index: The texts of items.
            index: The index that follows the embeddings.
        """
        self._embeddings, self._content_index, self._index = embeddings, content_index, index
        self._mapping = TextMapping()
        self._version, self._versions = 0, np.zeros(0, np.int32)
        """Number of fits, and the fit by which each item is mapped."""
        self._change_count = self._learned_count = 0
        """Changes of embeddings since the last fit, and the number of learned items then."""

    @property
    def trust(self) -> tuple[float, float]:
        """Return the damping factors of mapped embeddings and biases; 0 where texts tell nothing."""
        return self._mapping.trust

    def count_changes(self, count: int) -> None:
        """Count changed embeddings."""
        self._change_count += count

    def forget(self, item: int) -> None:
        """Have an item mapped again: it is new, or its text has changed."""
        if item < len(self._versions):
            self._versions[item] = 0

    def catch_up(self, is_known: NDArray[np.bool_], *, is_busy: bool) -> bool:
        """Fit the mapping if that is due, and map a batch of items; return whether any embedding has changed.

        Args:
            is_known: (items,) whether each item is in the catalog.
            is_busy: Whether an index lags behind.
        """
        known_items = np.flatnonzero(is_known).astype(np.int32)
        is_learned = self._embeddings.has(known_items)
        learned_items = known_items[is_learned]
        learned_items = learned_items[self._embeddings.event_counts(learned_items) >= _MIN_EVENTS]
        if self._is_fit_due(len(learned_items)):
            self._fit(learned_items)
        has_changed = self._drop(is_known)
        if not self._mapping.is_useful:
            return has_changed
        new_items = known_items[~is_learned]
        self._reach(int(new_items.max(initial=-1)) + 1)
        is_current = (self._versions[new_items] == self._version) & self._embeddings.is_scored(new_items)
        waiting_items = new_items[~is_current]
        batch = waiting_items[: _AT_ONCE_BUSY if is_busy else _AT_ONCE]
        if len(batch):
            self._embeddings.put_mapped(batch, self._mapping.embeddings(self._content_index.vectors(batch)))
            self._versions[batch] = self._version
            self._note(batch)
        return has_changed or len(batch) > 0

    def _is_fit_due(self, learned_count: int) -> bool:
        least_changes = max(_CHANGES, _CHANGES_PER_ITEM * learned_count)
        has_grown = learned_count > _GROWTH * self._learned_count
        return learned_count >= MIN_ITEMS and (has_grown or self._change_count >= least_changes)

    def _fit(self, learned_items: Indices) -> None:
        self._version += 1
        self._change_count, self._learned_count = 0, len(learned_items)
        if len(learned_items) > _SAMPLE:
            learned_items = np.random.default_rng(self._version).choice(learned_items, _SAMPLE, replace=False)
        self._mapping.fit(self._content_index.vectors(learned_items), self._embeddings.with_biases(learned_items))

    def _drop(self, is_known: NDArray[np.bool_]) -> bool:
        """Drop mapped embeddings of items that have left the catalog, or all if texts tell nothing; return if any."""
        items = self._embeddings.mapped_items
        if self._mapping.is_useful:
            items = items[~is_known[items]]
        if len(items):
            self._embeddings.drop_mapped(items)
            self._note(items)
        return len(items) > 0

    def _note(self, items: Indices) -> None:
        for item in items.tolist():
            self._index.note(item)

    def _reach(self, count: int) -> None:
        """Make room for as many items."""
        if count > len(self._versions):
            self._versions = padded(self._versions, count * 3 // 2 + 64)
