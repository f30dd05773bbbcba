"""Calibration: what a newcomer states is in the feed in the proportions of their interests (Steck, RecSys 2018).

Ranking knows little of someone who has just arrived, and what it knows may drown what they have said. So the stated
interests of a newcomer have a share of each stretch of the feed, at least and at most, by how much they were stated and
acted on. The shares loosen as events add up, and ranking takes over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.core.params import RankParams
from streams.core.ranking.catalog_snapshot import CatalogSnapshot, Indices
from streams.core.ranking.ranking_query import RankingQuery

_STATED = 2.0
"""Evidence of an interest that was stated; an item of it that was liked is 1."""
_PRIOR = 2.0
"""Evidence of anything else that is taken to be there."""
_MOST = 0.9
"""Share of a feed that interests may have."""
_LIKED = 20
"""Last liked items that count."""
_NEWCOMER_THRESHOLDS = 4.0
"""Cold-start thresholds at which half of the calibration is left."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The share of the feed that an interest has."""

    members: NDArray[np.bool_]
    """(candidates,) which belong to it."""
    least: float
    most: float


def quotas(query: RankingQuery, candidates: Indices, catalog: CatalogSnapshot, params: RankParams) -> list[Quota]:
    """Return the shares of a user's stated interests; none where too little would come of them.

    Args:
        whom: The user.
        candidates: (candidates,) numbers of items.
        view: What is known of the items.
        params: The length of a feed, and the threshold of cold start.
    """
    stated = list(dict.fromkeys(name for name in query.features.preferred if _is_known(name, catalog)))
    newcomers = _NEWCOMER_THRESHOLDS * params.cold_start_threshold
    new = newcomers / max(newcomers + query.features.event_count, 1.0)
    if not stated or _MOST * new * params.feed_items < 1.0:
        return []
    liked = query.history[query.liked][:_LIKED]
    of_liked = np.array([_members(name, liked, catalog) for name in stated]).reshape(len(stated), len(liked))
    evidence = _STATED + (of_liked / np.maximum(of_liked.sum(axis=0), 1)).sum(axis=1)
    total = float(evidence.sum()) + float((~of_liked.any(axis=0)).sum())
    share = _MOST * new * total / (total + _PRIOR)
    rest = (1.0 - share) * (1.0 - new)
    return [
        Quota(_members(name, candidates, catalog), least, least + rest)
        for name, least in zip(stated, (share * evidence / total).tolist(), strict=True)
    ]


def calibrate(order: NDArray[np.intp], shares: Sequence[Quota], length: int) -> NDArray[np.intp]:
    """Return places in an order such that each stretch from the first on has the shares, as far as there are items.

    Args:
        order: (n,) places of candidates, best first.
        shares: The shares, over all candidates.
        length: Places that are wanted; what is left follows in its order.
    """
    members = [share.members[order] for share in shares]
    waiting = dict.fromkeys(range(len(order)))
    counts = [0] * len(shares)
    chosen: list[int] = []
    while waiting and len(chosen) < length:
        index = _next(waiting, members, counts, shares, len(chosen) + 1)
        del waiting[index]
        chosen.append(index)
        for number, belongs in enumerate(members):
            counts[number] += bool(belongs[index])
    return order[np.array([*chosen, *waiting], np.intp)]


def _next(
    waiting: dict[int, None],
    members: Sequence[NDArray[np.bool_]],
    counts: Sequence[int],
    shares: Sequence[Quota],
    length: int,
) -> int:
    """Return the best place of the interest that is owed most, else the best that no interest has too much of."""
    owed = [int(share.least * length) - count for share, count in zip(shares, counts, strict=True)]
    for number in sorted((n for n, debt in enumerate(owed) if debt > 0), key=lambda n: -owed[n]):
        for index in waiting:
            if members[number][index]:
                return index
    full = [count + 1 > np.ceil(share.most * length) for share, count in zip(shares, counts, strict=True)]
    for index in waiting:
        if not any(is_full and belongs[index] for is_full, belongs in zip(full, members, strict=True)):
            return index
    return next(iter(waiting))


def _is_known(name: str, catalog: CatalogSnapshot) -> bool:
    return catalog.categories.get(name) >= 0 or catalog.topics.get(name) >= 0


def _members(name: str, items: Indices, catalog: CatalogSnapshot) -> NDArray[np.bool_]:
    """Return which items are of a category or have a topic."""
    category, topic = catalog.categories.get(name), catalog.topics.get(name)
    is_member = np.zeros(len(items), bool)
    if category >= 0:
        is_member |= catalog.category[items] == category
    if topic >= 0:
        is_member |= (catalog.item_topics[items] == topic).any(axis=1)
    return is_member
