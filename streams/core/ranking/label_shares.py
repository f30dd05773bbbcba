"""Label shares: how much of a history has each category and each topic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.item_columns import Indices, Scores


@dataclass(frozen=True, slots=True)
class LabelShares:
    """The share of a history with each label, from 0 to 1; the last entries stand for no label and are 0."""

    categories: Scores
    topics: Scores

    @classmethod
    def of(cls, history: Indices, catalog: CatalogSnapshot) -> LabelShares | None:
        """Return the label shares of a history; None if its items have no labels.

        Args:
            history: (events,) the items of the history.
            catalog: The catalog snapshot.
        """
        categories = _shares(catalog.category[history], len(catalog.categories))
        categories[catalog.categories.get("")] = 0.0  # an empty name is none; an unknown one is the last entry
        topics = _shares(catalog.item_topics[history], len(catalog.topics))
        return cls(categories, topics) if categories.any() or topics.any() else None


def _shares(labels: Indices, count: int) -> Scores:
    """Return (count + 1,) the share of the items with each label.

    Args:
        labels: (items,) or (items, n) labels of items, -1 for none.
        count: Number of labels.
    """
    shares = np.bincount(labels.ravel() + 1, minlength=count + 1).astype(np.float64) / max(len(labels), 1)
    shares[:-1], shares[-1] = np.minimum(shares[1:], 1.0), 0.0
    return shares
