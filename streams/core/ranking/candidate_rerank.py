"""Re-ranking of candidate lists from a trigger, including items that are described only in the trigger.

An item without interactions has no co-occurrence. Its similarity to the user's last liked items, by text signature,
stands in for the `near` feature. Its affinity is computed as for any item, and by its source where it has no category.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from domain.scale import shares_of_strongest
from models.blend.blender import Blender
from models.neighbours.cooccurrence import STEP
from models.text.signature import signature
from schemas.types import Candidate, Features, Feed, Trigger
from streams.core.params import RankParams
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.item_columns import SCORE_DIGITS
from streams.core.ranking.ordering import weights_for
from streams.core.ranking.pipeline import rank
from streams.core.ranking.ranking_query import RankingQuery, ranking_query
from streams.core.ranking.stages.features import CONTENT, FEATURES

_GROUPS = (CONTENT.name, FEATURES["affinity"].group.name)
"""Groups of the contributions to items that are not in the catalog."""
_FEATURES = [list(FEATURES).index(name) for name in ("near", "affinity")]
"""Indices of the features whose weights these contributions have."""
_LIKED = 20
"""Number of last liked items that a new item is compared with."""
_CHANCE_SIMILARITY = 0.2
"""Similarity of two items by chance: three standard deviations of the cosine of signatures that share no word."""
_PUNCTUATION = ' []"'
"""Characters stripped from the words of a context, where lists are encoded as JSON."""


def rerank_candidates(
    trigger: Trigger, features: Features, catalog: CatalogSnapshot, blender: Blender, params: RankParams, *, now_ms: int
) -> Feed:
    """Return the feed of the items that a trigger names, each once.

    Categories and topics named in the trigger's context count as stated interests for this request only.

    Args:
        trigger: The trigger, with candidates, their descriptions, a context and an optional topic distance.
        features: The features of the user.
        catalog: The catalog snapshot.
        blender: The shared weights of the features.
        params: The parameters of the ranking.
        now_ms: The time of generation, in ms since the epoch.
    """
    interests = _context_interests(trigger, catalog, features)
    features = structs.replace(features, preferred=[*features.preferred, *interests])
    new = {one.item_id: one for one in trigger.described if not _is_listed(one.item_id, catalog)}
    listed_items = [item for item in trigger.candidates if item not in new]
    feed = rank(features, catalog, blender, params, now_ms=now_ms, among=listed_items)
    if new:
        query = ranking_query(features, catalog, params, at_ms=max(catalog.watermark, features.watermark))
        feed = _with_new(feed, list(new.values()), query, catalog, blender)
    reason_texts = {f"You like {name}": f"You asked for {name}" for name in interests}
    feed = structs.replace(feed, reasons=[reason_texts.get(reason, reason) for reason in feed.reasons])
    if trigger.topic_distance is None:
        return feed
    topics = {one.item_id: one.topics for one in trigger.described}
    return _reordered(feed, _spread_topics(feed, _topics(feed.items, topics, catalog), trigger.topic_distance))


def _by_score(feed: Feed) -> list[int]:
    """Return the indices of a feed's items, best first, then those of the trailing items."""
    end = len(feed.items) - feed.trailing
    return sorted(range(len(feed.items)), key=lambda index: (index >= end, -feed.scores[index]))


def _context_interests(trigger: Trigger, catalog: CatalogSnapshot, features: Features) -> list[str]:
    """Return the categories and topics in a trigger's context that are not already liked or stated."""
    labels = {name for one in trigger.described for name in (one.category, *one.topics)}
    words = dict.fromkeys(word.strip(_PUNCTUATION) for value in trigger.context.values() for word in value.split(","))
    return [
        word
        for word in words
        if word
        and (word in labels or catalog.categories.get(word) >= 0 or catalog.topics.get(word) >= 0)
        and not (word in features.preferred or _is_liked(features, word))
    ]


def _is_listed(item_id: str, catalog: CatalogSnapshot) -> bool:
    index = catalog.items.get(item_id)
    return 0 <= index < catalog.columns.count and bool(catalog.columns.listing.is_listed[index])


def _with_new(
    feed: Feed, new: Sequence[Candidate], query: RankingQuery, catalog: CatalogSnapshot, blender: Blender
) -> Feed:
    """Return a feed with new items merged in by score."""
    contributions = _feature_values(new, query, catalog) * weights_for(query, blender)[_FEATURES][:, None]
    none = [0.0] * len(new)
    sources = [_GROUPS[index] for index in contributions.argmax(axis=0).tolist()]
    reasons = [_reason(one, values, query) for one, values in zip(new, contributions.T.tolist(), strict=True)]
    new_contributions = dict(zip(_GROUPS, contributions.round(SCORE_DIGITS).tolist(), strict=True))
    before = [0.0] * len(feed.items)
    joined_feed = structs.replace(
        feed,
        items=[one.item_id for one in new] + feed.items,
        scores=contributions.sum(axis=0).round(SCORE_DIGITS).tolist() + feed.scores,
        sources=sources + feed.sources,
        reasons=reasons + feed.reasons,
        parts={
            name: new_contributions.get(name, none) + feed.parts.get(name, before)
            for name in dict.fromkeys([*feed.parts, *new_contributions])
        },
    )
    return _reordered(joined_feed, _by_score(joined_feed))


def _feature_values(new: Sequence[Candidate], query: RankingQuery, catalog: CatalogSnapshot) -> NDArray[np.float64]:
    """Return (2, items): each new item's similarity to the user's liked items, and the user's affinity to it."""
    vectors = np.stack([signature(one.item_id, f"{one.title} {one.text}", one.category, one.topics) for one in new])
    likes = query.history[query.is_liked][:_LIKED].tolist()
    similarity = np.zeros(len(new))
    if likes:
        names = [catalog.items.names[index] for index in likes]
        liked_vectors = np.stack([_signature(name, catalog) for name in names])
        cosines = vectors @ liked_vectors.T
        similarity = (np.where(cosines > _CHANCE_SIMILARITY, cosines, 0.0) * STEP ** np.arange(len(likes))).max(axis=1)
    features = query.features
    categories, topics, sources = (
        shares_of_strongest(sums) | dict.fromkeys(features.preferred, 1.0)
        for sums in (features.categories, features.topics, features.sources)
    )
    affinity = [
        (
            (categories.get(one.category, 0.0) if one.category else sources.get(one.source, 0.0))
            + min(max(sum(topics.get(topic, 0.0) for topic in one.topics), -1.0), 1.0)
        )
        / 2
        for one in new
    ]
    return np.stack([similarity, np.array(affinity)])


def _signature(item_id: str, catalog: CatalogSnapshot) -> NDArray[np.float32]:
    subject = catalog.labels(item_id)
    if subject is None:
        return signature(item_id, "", "", ())
    return signature(item_id, catalog.title(item_id), subject.category, subject.topics)


def _reason(one: Candidate, values: Sequence[float], query: RankingQuery) -> str:
    similarity, affinity = values
    if max(similarity, affinity) <= 0:
        return "New here"
    features = query.features
    liked_titles = [
        name
        for name in (*one.topics, one.category, one.source)
        if name in features.preferred or _is_liked(features, name)
    ]
    return f"You like {liked_titles[0]}" if affinity > similarity and liked_titles else "Like what you liked"


def _is_liked(features: Features, name: str) -> bool:
    return any(sums.get(name, 0.0) > 0 for sums in (features.topics, features.categories, features.sources))


def _topics(
    items: Sequence[str], described_topics: Mapping[str, Sequence[str]], catalog: CatalogSnapshot
) -> list[set[str]]:
    """Return the topics of each item: those of the catalog, else those of its description in the trigger."""
    topics = []
    for item in items:
        subject = catalog.labels(item)
        topics.append(set(subject.topics if subject is not None else described_topics.get(item, ())))
    return topics


def _spread_topics(feed: Feed, topics: Sequence[set[str]], distance: float) -> list[int]:
    """Return the indices of a feed's items, reordered so that each differs from those before it by a share of topics.

    The best items come first. Items too similar to one of them follow in their order.
    """
    order, end = _by_score(feed), len(feed.items) - feed.trailing
    selection: list[int] = []
    similar: list[int] = []
    for index in order[:end]:
        is_distant = all(_distance(topics[index], topics[other]) >= distance for other in selection)
        (selection if is_distant else similar).append(index)
    return selection + similar + order[end:]


def _distance(some: set[str], others: set[str]) -> float:
    """Return the Jaccard distance: 0 for the same topics, 1 for disjoint or empty sets."""
    both = some | others
    return 1.0 - len(some & others) / len(both) if both else 1.0


def _reordered(feed: Feed, indices: Sequence[int]) -> Feed:
    """Return a feed with its items in another order."""
    columns = {
        name: [getattr(feed, name)[index] for index in indices] for name in ("items", "scores", "sources", "reasons")
    }
    parts = {name: [column[index] for index in indices] for name, column in feed.parts.items()}
    return structs.replace(feed, parts=parts, **columns)
