"""Serendipity: relevant items that differ from what the user knows gain a little.

An item is serendipitous if it is relevant and unexpected; one is unexpected if it differs from the user's history
(Kotkov et al., A survey of serendipity in recommender systems, Knowledge-Based Systems 2016). As in Auralist (Zhang et
al., WSDM 2012), lists that were chosen by relevance are ordered by relevance and unexpectedness together. Scores are
log-odds, so an item whose labels are all new to the user has the odds of one with a score higher by the weight.
"""

from __future__ import annotations

import numpy as np

from streams.core.ranking.catalog.catalog_snapshot import TOPICS_PER_ITEM, CatalogSnapshot
from streams.core.ranking.catalog.item_columns import Indices, Scores
from streams.core.ranking.ranking_query import RankingQuery

_EACH_TOPIC = np.ones(TOPICS_PER_ITEM)


def unexpectedness(query: RankingQuery, items: Indices, catalog: CatalogSnapshot) -> Scores | None:
    """Return (items,) the mean share of a user's history without each label of an item, from 0 to 1.

    Labels are the category and the topics. An item without any has 0, since nothing is known of it. None stands for a
    history without labels.

    Args:
        query: The ranking query of the user.
        items: (items,) the items.
        catalog: The catalog snapshot.
    """
    shares = query.label_shares
    if shares is None:
        return None
    sums = shares.categories.take(catalog.category.take(items))
    sums += shares.topics.take(catalog.item_topics.take(items, axis=0)) @ _EACH_TOPIC
    weights = catalog.columns.listing.label_weights.take(items)
    gains: Scores = (weights > 0) - sums * weights
    return gains
