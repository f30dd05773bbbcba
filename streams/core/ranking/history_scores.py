"""Item-item scores from a user's history: of all items in a small catalog, of the linked ones in a large one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from models.neighbours.item_item_matrix import SlotScores
from models.neighbours.sparse_links import SimilarityQuery, SparseScores, strongest
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.item_columns import LOG_SHARE_UNIT, NO_ITEMS, Column, Indices, Where

ITEM_ITEM_FEATURES = ("near", "far", "next", "last", "taste", "far_taste")
"""Item-item features: each scores all items by their links with the user's history."""
_LINK_FEATURES = 4
"""Number of those of co-occurrence; the others are of item weights."""
_OF_STRONGEST = np.array([[name != "last"] for name in ITEM_ITEM_FEATURES])
"""Features measured as shares of their strongest value; links of the last item are shares already."""
_SCALES = np.array([[1.0 / LOG_SHARE_UNIT]] * 3 + [[100.0]] * 3, np.float32)


class HistoryScores(Protocol):
    """Item-item scores from a history."""

    def at(self, where: Where) -> Column:
        """Return (12, items) scores of some items.

        There is a row for each of `ITEM_ITEM_FEATURES`, as a share of the strongest, then a row each of their log
        strengths, on a scale like that of `log_share`, where negative scores are 0.

        Args:
            where: The items.
        """

    def strongest(self, limit: int) -> Indices:
        """Return the items with the highest positive scores by any of the features, each once or more often.

        Args:
            limit: Number of items per feature.
        """


@dataclass(frozen=True, slots=True)
class HistoryQueries:
    """The weighted sums that the scores are made of."""

    history: Indices
    """(m,) the items of the history, newest first."""
    links: Sequence[SimilarityQuery]
    """The queries of co-occurrence, for the first of the features."""
    weights: Column
    """(2, m) the weights of `taste` and `far_taste`."""


class DenseScores:
    """The scores of all items."""

    def __init__(self, queries: HistoryQueries, catalog: CatalogSnapshot) -> None:
        """Compute the scores.

        Args:
            queries: The queries.
            catalog: The catalog snapshot.
        """
        half, has_history = len(ITEM_ITEM_FEATURES), len(queries.history) > 0
        self._scores = (np.empty if has_history else np.zeros)((2 * half, catalog.columns.count), np.float32)
        if has_history:
            totals = self._scores[:half]
            catalog.neighbors.links.scores(queries.history, *queries.links, out=totals[:_LINK_FEATURES])
            catalog.item_weights.scores(queries.history, queries.weights, out=totals[_LINK_FEATURES:])
            _fill(self._scores, totals.max(axis=1, keepdims=True, initial=0.0))

    def at(self, where: Where) -> Column:
        """Return (12, items) scores of some items, see `HistoryScores`."""
        return self._scores[:, where]

    def strongest(self, limit: int) -> Indices:
        """Return the items with the highest scores by any of the features, see `HistoryScores`."""
        return strongest(self._scores[: len(ITEM_ITEM_FEATURES)], limit).astype(np.int32)


class LinkedScores:
    """The scores of linked items: their cost does not depend on the size of the catalog."""

    def __init__(self, queries: HistoryQueries, catalog: CatalogSnapshot) -> None:
        """Compute the scores.

        Args:
            queries: The queries.
            catalog: The catalog snapshot.
        """
        self._count = catalog.columns.count
        self._tables: tuple[SparseScores | SlotScores, ...] = ()
        if len(queries.history):
            links = catalog.neighbors.links.sparse_scores(queries.history, *queries.links, count=self._count)
            self._tables = links, catalog.item_weights.sparse_scores(queries.history, queries.weights)
            self._highest = np.concatenate(
                [table.scores.max(axis=1, keepdims=True, initial=0.0) for table in self._tables]
            )

    def at(self, where: Where) -> Column:
        """Return (12, items) scores of some items, see `HistoryScores`."""
        items = np.arange(*where.indices(self._count), dtype=np.int32) if isinstance(where, slice) else where
        half = len(ITEM_ITEM_FEATURES)
        scores = np.zeros((2 * half, len(items)), np.float32)
        if self._tables:
            np.concatenate([table.at(items) for table in self._tables], out=scores[:half])
            _fill(scores, self._highest.copy())
        return scores

    def strongest(self, limit: int) -> Indices:
        """Return the items with the highest scores by any of the features, see `HistoryScores`."""
        best = np.concatenate([NO_ITEMS, *(table.items[strongest(table.scores, limit)] for table in self._tables)])
        return best[best < self._count]


def _fill(scores: Column, highest: Column) -> None:
    """Turn totals into shares of the highest, in place, and fill in the log strengths.

    Args:
        scores: (12, items) totals, then any values.
        highest: (6, 1) the highest totals, which are overwritten.
    """
    half = len(ITEM_ITEM_FEATURES)
    shares, log_strengths = scores[:half], scores[half:]
    highest[highest <= 0] = 1.0
    np.multiply(shares, np.where(_OF_STRONGEST, _SCALES / highest, _SCALES), out=log_strengths)
    shares /= highest
    np.maximum(log_strengths[_LINK_FEATURES:], 0.0, out=log_strengths[_LINK_FEATURES:])  # the others are never negative
    np.log1p(log_strengths, out=log_strengths)
