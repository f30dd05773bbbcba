"""Calibration: a newcomer's feed reflects the proportions of their stated interests (Steck, RecSys 2018).

Ranking knows little about a new user, and that little may drown the interests that the user stated. Each stated
interest of a newcomer therefore has a minimum and a maximum share of every stretch of the feed, derived from the
statement and from the items liked since. The shares loosen as events accumulate, and ranking takes over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.core.params import RankParams
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.item_columns import Indices
from streams.core.ranking.ranking_query import RankingQuery

_STATED = 2.0
"""Evidence for an interest from its statement; one liked item of the interest adds 1."""
_PRIOR = 2.0
"""Prior evidence for everything outside the stated interests."""
_MOST = 0.9
"""Largest share of a feed reserved for stated interests."""
_LIKED = 20
"""Number of last liked items that count as evidence."""
_NEWCOMER_THRESHOLDS = 4.0
"""Event count, in cold-start thresholds, at which the calibration has half its strength."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The minimum and maximum share of the feed for one interest."""

    members: NDArray[np.bool_]
    """(candidates,) mask of the candidates that belong to the interest."""
    min_share: float
    max_share: float


def quotas(query: RankingQuery, candidates: Indices, catalog: CatalogSnapshot, params: RankParams) -> list[Quota]:
    """Return the quotas of a user's stated interests; an empty list where they would fill less than one item.

    Args:
        query: The ranking query of the user.
        candidates: (candidates,) indices of items.
        catalog: The catalog snapshot.
        params: Supplies the length of a feed and the cold-start threshold.
    """
    interests = list(dict.fromkeys(name for name in query.features.preferred if _is_known(name, catalog)))
    newcomers = _NEWCOMER_THRESHOLDS * params.cold_start_threshold
    new = newcomers / max(newcomers + query.features.event_count, 1.0)
    if not interests or _MOST * new * params.max_recommendations < 1.0:
        return []
    likes = query.history[query.is_liked][:_LIKED]
    of_liked = np.array([_members(name, likes, catalog) for name in interests]).reshape(len(interests), len(likes))
    evidence = _STATED + (of_liked / np.maximum(of_liked.sum(axis=0), 1)).sum(axis=1)
    total = float(evidence.sum()) + float((~of_liked.any(axis=0)).sum())
    share = _MOST * new * total / (total + _PRIOR)
    rest = (1.0 - share) * (1.0 - new)
    return [
        Quota(_members(name, candidates, catalog), least, least + rest)
        for name, least in zip(interests, (share * evidence / total).tolist(), strict=True)
    ]


def calibrate(order: NDArray[np.intp], shares: Sequence[Quota], length: int) -> NDArray[np.intp]:
    """Return indices of candidates reordered so that every prefix meets the quotas, as far as there are items.

    Args:
        order: (n,) indices of candidates, best first.
        shares: The quotas, with masks over all candidates.
        length: Number of positions to calibrate; the remaining candidates follow in their order.

    >>> is_jazz = Quota(np.array([False, False, False, True, True]), min_share=0.5, max_share=1.0)
    >>> calibrate(np.arange(5), [is_jazz], length=4).tolist()  # every second item is jazz
    [0, 3, 1, 4, 2]
    """
    members = [share.members[order] for share in shares]
    waiting = dict.fromkeys(range(len(order)))
    counts = [0] * len(shares)
    selection: list[int] = []
    while waiting and len(selection) < length:
        index = _next(waiting, members, counts, shares, len(selection) + 1)
        del waiting[index]
        selection.append(index)
        for number, belongs in enumerate(members):
            counts[number] += bool(belongs[index])
    return order[np.array([*selection, *waiting], np.intp)]


def _next(
    waiting: dict[int, None],
    members: Sequence[NDArray[np.bool_]],
    counts: Sequence[int],
    shares: Sequence[Quota],
    length: int,
) -> int:
    """Return the best item of the interest with the largest deficit, else the best item that exceeds no maximum."""
    deficits = [int(share.min_share * length) - count for share, count in zip(shares, counts, strict=True)]
    for number in sorted((n for n, debt in enumerate(deficits) if debt > 0), key=lambda n: -deficits[n]):
        for index in waiting:
            if members[number][index]:
                return index
    full = [count + 1 > np.ceil(share.max_share * length) for share, count in zip(shares, counts, strict=True)]
    for index in waiting:
        if not any(is_full and belongs[index] for is_full, belongs in zip(full, members, strict=True)):
            return index
    return next(iter(waiting))


def _is_known(name: str, catalog: CatalogSnapshot) -> bool:
    return catalog.categories.get(name) >= 0 or catalog.topics.get(name) >= 0


def _members(name: str, items: Indices, catalog: CatalogSnapshot) -> NDArray[np.bool_]:
    """Return the mask of the items of a category or topic."""
    category, topic = catalog.categories.get(name), catalog.topics.get(name)
    is_member = np.zeros(len(items), bool)
    if category >= 0:
        is_member |= catalog.category[items] == category
    if topic >= 0:
        is_member |= (catalog.item_topics[items] == topic).any(axis=1)
    return is_member
