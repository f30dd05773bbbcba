"""Comparisons of two lists of one user: that of a shadow, which nobody sees, and that which was shown_feed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from models.vocabulary import MISSING
from schemas.types import Feed, ShadowComparison
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot

DEPTH = 10
"""Number of items at the beginning of a list that figures look at, but for the rank-biased overlap."""
PERSISTENCE = 0.9
"""Probability that the reader of the rank-biased overlap goes on to the next item: 10 items are expected to be read."""


def overlap(one: Sequence[str], other: Sequence[str], *, depth: int = DEPTH) -> float:
    """Return the share of the first items that both lists have, from 0 to 1; 1 for two empty lists.

    Args:
        one: A list of items, each once.
        other: Another one.
        depth: Number of items at the beginning of both.

    >>> overlap(["a", "b", "c", "d"], ["b", "a", "x", "y"])
    0.5
    """
    count = min(depth, max(len(one), len(other)))
    return len(set(one[:depth]).intersection(other[:depth])) / count if count else 1.0


def rank_biased_overlap(one: Sequence[str], other: Sequence[str], *, persistence: float = PERSISTENCE) -> float:
    """Return the extrapolated rank-biased overlap of two lists, from 0 to 1: the beginning counts most.

        RBO = sum over depths d of (1 - p) p^(d - 1) A(d),    A(d) = shared items of the first d / d

    Beyond the end of the longer list the agreement A stays as it was there; beyond the end of the shorter list, the
    share of its items in the longer one stays (Webber, Moffat and Zobel, "A similarity measure for indefinite
    rankings", ACM Transactions on Information Systems 28(4), 2010, equation 32). It is computed as 1 less the weighted
    disagreement, so that equal lists have exactly 1.

    Args:
        one: A list of items, each once.
        other: Another one.
        persistence: The probability p of going on to the next item, above 0 and below 1.

    >>> rank_biased_overlap(["a", "b", "c"], ["a", "b", "c"])
    1.0
    >>> rank_biased_overlap(["a", "b", "c"], ["a", "c", "b"]) > rank_biased_overlap(["a", "b", "c"], ["b", "a", "c"])
    True
    """
    shorter, longer = sorted((one, other), key=len)
    if not shorter:
        return float(not longer)
    short_items, long_items = set[str](), set[str]()
    disagreement, difference, shared_share = 0.0, 0.0, 0.0
    for depth, item in enumerate(longer, start=1):
        long_items.add(item)
        short_items.update(shorter[depth - 1 : depth])
        shared_count = len(short_items & long_items)
        if depth <= len(shorter):
            shared_share = shared_count / depth
        expected_count = (depth - len(short_items)) * shared_share
        difference = 1.0 - (shared_count + expected_count) / depth
        disagreement += (1.0 - persistence) * persistence ** (depth - 1) * difference
    disagreement += persistence ** len(longer) * difference
    return min(1.0, max(0.0, 1.0 - disagreement))


def comparison(
    shadow: Feed,
    shown_feed: Feed,
    catalog: CatalogSnapshot,
    *,
    experiment_id: str,
    arm: str,
    shown_ranking_ms: float,
    ranking_ms: float,
) -> ShadowComparison:
    """Return how the list of a shadow differs from the list that is shown; the first orders of both count.

    Args:
        shadow: The feed under the shadow's parameters.
        shown_feed: The feed of the same user that is shown_feed.
        catalog: The catalog snapshot of both rankings.
        experiment_id: The shadow.
        arm: The arm of the shadow.
        shown_ranking_ms: Duration of the ranking that is shown, in ms.
        ranking_ms: Duration of the shadow's ranking, in ms.
    """
    return ShadowComparison(
        user_id=shown_feed.user_id,
        experiment_id=experiment_id,
        arm=arm,
        features_version=shown_feed.features_version,
        compared_at=shown_feed.generated_at,
        overlap=overlap(shadow.items, shown_feed.items),
        rank_biased_overlap=rank_biased_overlap(shadow.items, shown_feed.items),
        is_first_changed=shadow.items[:1] != shown_feed.items[:1],
        score_difference=_mean(shadow.scores[:DEPTH]) - _mean(shown_feed.scores[:DEPTH]),
        items=shadow.items,
        policy=shadow.policy,
        shown_sources=Counter(shown_feed.sources[:DEPTH]),
        sources=Counter(shadow.sources[:DEPTH]),
        shown_categories=_categories(shown_feed, catalog),
        categories=_categories(shadow, catalog),
        shown_ranking_ms=shown_ranking_ms,
        ranking_ms=ranking_ms,
    )


def _categories(feed: Feed, catalog: CatalogSnapshot) -> dict[str, int]:
    codes = catalog.category[catalog.items.encode_known(feed.items[:DEPTH])].tolist()
    names = ("" if code == MISSING else catalog.categories.names[code] for code in codes)
    return Counter(names)


def _mean(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores) if scores else 0.0
