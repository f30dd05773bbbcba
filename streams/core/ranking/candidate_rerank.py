"""Re-ranking of candidate lists from a trigger, including items that are described only in the trigger.

The features of these are in `streams.core.ranking.described_items`. A trigger without candidates has the whole
catalogue ranked in its context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import structs

from models.blend.blender import Blender
from models.vocabulary import MISSING
from schemas.event_context import context_labels
from schemas.text import fold
from schemas.types import Candidate, Features, Feed, Trigger
from streams.core.params import RankParams
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.item_columns import SCORE_DIGITS
from streams.core.ranking.described_items import described_features, known_index, similarities
from streams.core.ranking.ordering import finite, weights_for
from streams.core.ranking.pipeline import build_candidates, contributions_by_group, rank, rank_candidates
from streams.core.ranking.ranking_query import RankingQuery, ranking_query
from streams.core.ranking.stages.features import CONTENT, FEATURES, GROUPS
from streams.core.ranking.stages.reasons import leading_groups
from streams.core.triggers.list_request import requests_list
from streams.core.user.situation import stated_situations

_GROUPS = [*GROUPS, CONTENT.name]
"""Groups of the contributions to items that are not in the catalog."""
_NEAR = list(FEATURES).index("near")
"""Index of the feature whose weight the similarity to liked items has."""
_AFFINITY, _SITUATION = (FEATURES[name].group.name for name in ("affinity", "situation"))
_POPULAR = FEATURES["popular"].group.name


def rerank_candidates(
    trigger: Trigger, features: Features, catalog: CatalogSnapshot, blender: Blender, params: RankParams, *, now_ms: int
) -> Feed:
    """Return the feed of the items that a trigger names, each once; of the whole catalogue if it has other terms only.

    Categories and topics named in the trigger's context count as stated interests for this request only. The
    situations in its context, such as the device type, take the place of those of the user's last event.

    Args:
        trigger: The trigger, with candidates, their descriptions, a context and an optional topic distance.
        features: The features of the user.
        catalog: The catalog snapshot.
        blender: The shared weights of the features.
        params: The parameters of the ranking.
        now_ms: The time of generation, in ms since the epoch.
    """
    interests = _context_interests(trigger, catalog, features)
    features = structs.replace(
        features,
        preferred=[*features.preferred, *interests],
        situation=stated_situations(trigger.context) or features.situation,
    )
    at_ms = max(catalog.watermark, features.watermark)
    if trigger.candidates or not requests_list(trigger):
        new = {one.item_id: one for one in trigger.described if not _is_listed(one.item_id, catalog)}
        listed_items = [item for item in trigger.candidates if item not in new]
        feed = rank(features, catalog, blender, params, now_ms=now_ms, among=listed_items)
        if new:
            query = ranking_query(features, catalog, params, at_ms=at_ms)
            feed = _with_new(feed, list(new.values()), query, catalog, blender)
    else:
        candidates, params = build_candidates(features, catalog, params, at_ms=at_ms), params.without_exploration()
        feed = rank_candidates(candidates, catalog, blender, params, now_ms=now_ms, is_read_later=False).feed
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
    """Return the categories and topics in a trigger's context that are not already liked or stated.

    They are compared without case with the labels of the request, and in the usual cases with those of the catalogue.
    """
    names = {name for one in trigger.described for name in (one.category, *one.topics)}
    by_folded = {fold(name): name for name in sorted(names)}
    words = (word for value in trigger.context.values() for word in context_labels(value))
    interests = dict.fromkeys(by_folded.get(fold(word)) or _catalog_label(word, catalog) for word in words)
    return [name for name in interests if name and not (name in features.preferred or _is_liked(features, name))]


def _catalog_label(word: str, catalog: CatalogSnapshot) -> str:
    """Return the category or topic of the catalogue that a word is, in whatever case; empty for none."""
    cases = dict.fromkeys((word, word.lower(), word.upper(), word.title(), word.capitalize()))
    return next((name for name in cases if max(catalog.categories.get(name), catalog.topics.get(name)) >= 0), "")


def _is_listed(item_id: str, catalog: CatalogSnapshot) -> bool:
    index = catalog.items.get(item_id)
    return 0 <= index < catalog.columns.count and bool(catalog.columns.listing.is_listed[index])


def _with_new(
    feed: Feed, new: Sequence[Candidate], query: RankingQuery, catalog: CatalogSnapshot, blender: Blender
) -> Feed:
    """Return a feed with new items merged in by score."""
    weights = weights_for(query, blender)
    contributions = np.concatenate(
        [
            contributions_by_group(weights[:, None], described_features(new, query, catalog)),
            finite(weights[_NEAR] * similarities(new, query, catalog))[None],
        ]
    )
    groups = leading_groups(_GROUPS, contributions, contributions.mean(axis=1, keepdims=True), default=CONTENT.name)
    parts = {
        name: values
        for name, values in zip(_GROUPS, contributions.round(SCORE_DIGITS).tolist(), strict=True)
        if any(values)
    }
    none, before = [0.0] * len(new), [0.0] * len(feed.items)
    joined_feed = structs.replace(
        feed,
        items=[one.item_id for one in new] + feed.items,
        scores=contributions.sum(axis=0).round(SCORE_DIGITS).tolist() + feed.scores,
        sources=groups + feed.sources,
        reasons=[
            _reason(one, group, query, catalog) if is_raised else "New here"
            for one, group, is_raised in zip(new, groups, contributions.max(axis=0) > 0, strict=True)
        ]
        + feed.reasons,
        parts={
            name: parts.get(name, none) + feed.parts.get(name, before) for name in dict.fromkeys([*feed.parts, *parts])
        },
    )
    return _reordered(joined_feed, _by_score(joined_feed))


def _reason(one: Candidate, group: str, query: RankingQuery, catalog: CatalogSnapshot) -> str:
    """Return the reason for a new item, whose score a group sets apart."""
    features, index = query.features, known_index(one.item_id, catalog)
    liked_names = [
        name
        for name in (*one.topics, one.category, one.source)
        if name in features.preferred or _is_liked(features, name)
    ]
    if group == _AFFINITY and liked_names:
        return f"You like {liked_names[0]}"
    if group == _POPULAR:
        return f"Popular in {one.category}" if one.category else "Popular"
    if group in (CONTENT.name, _AFFINITY) or (index == MISSING and group != _SITUATION):
        return "Like what you liked"
    [text] = GROUPS[group].reason(np.array([index], np.int32), query, catalog)
    return text


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
