"""Features of items that only a request describes: the catalogue does not hold them.

Interactions with such an item count as those with any other, so its links with the user's history, its popularity and
its ratings are features here, too. Its description stands in for its record: the affinities are to the category and
topics that it names, and to its source where it names no category. Its similarity to the user's last liked items, by
title, labels and text, is a contribution of its own, with the weight of the feature `near`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from domain.scale import shares_of_strongest
from models.neighbours.cooccurrence import STEP
from models.text.signature import signature
from models.text.word_index import Words, words_of
from models.vocabulary import MISSING
from schemas.types import Candidate
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.ranking_query import RankingQuery
from streams.core.ranking.stages.features import FEATURES, feature_matrix, learned_shares

_LIKED = 20
"""Number of last liked items that a new item is compared with."""
_CHANCE_SIMILARITY = 0.2
"""Similarity of two items by chance: three standard deviations of the cosine of signatures that share no word."""
_CHANCE_WORDS = 0.1
"""The same for the words of their texts, of which some are common to most texts."""
_ROWS = {name: row for row, name in enumerate(FEATURES)}


def described_features(new: Sequence[Candidate], query: RankingQuery, catalog: CatalogSnapshot) -> NDArray[np.float32]:
    """Return (features, items) features of items that the catalogue does not hold.

    Args:
        new: The descriptions of the items, each once.
        query: The ranking query of the user.
        catalog: The catalog snapshot.
    """
    columns = np.zeros((len(FEATURES), len(new)), np.float32)
    indices = np.array([known_index(one.item_id, catalog) for one in new])
    known_items = np.flatnonzero(indices != MISSING)
    if len(known_items):
        order = known_items[indices[known_items].argsort()]
        where = indices[order].astype(np.int32)
        columns[:, order] = feature_matrix(query, catalog, where).column(slice(None))
    columns[_ROWS["fresh"]] = 0.0  # the items without an interaction are no older
    columns[_ROWS["affinity"]] = _affinities(new, query)
    columns[_ROWS["situation"]] = _situation_affinities(new, query)
    return columns


def known_index(item_id: str, catalog: CatalogSnapshot) -> int:
    """Return the index of an item that somebody acted on; `MISSING` for any other.

    Args:
        item_id: The item.
        catalog: The catalog snapshot.
    """
    index = catalog.items.get(item_id)
    return index if index < catalog.columns.count else MISSING


def similarities(new: Sequence[Candidate], query: RankingQuery, catalog: CatalogSnapshot) -> NDArray[np.float64]:
    """Return (items,) similarities of items to the user's last liked items, from 0 to 1; earlier ones count less.

    An item outside the catalogue that the user liked is compared by its description, if the request has it.

    Args:
        new: The descriptions of the items, each once.
        query: The ranking query of the user.
        catalog: The catalog snapshot.
    """
    liked_names = [catalog.items.names[index] for index in query.history[query.is_liked][:_LIKED].tolist()]
    if not liked_names:
        return np.zeros(len(new))
    descriptions = {one.item_id: one for one in new}
    vectors = np.stack([_signature(one) for one in new])
    liked_vectors = np.stack([_liked_signature(name, descriptions, catalog) for name in liked_names])
    cosines = vectors @ liked_vectors.T
    texts = [_words(one) for one in new]
    liked_texts = [_liked_words(name, descriptions, catalog) for name in liked_names]
    word_cosines = catalog.word_index.similarities(texts, liked_texts)
    similarity = np.maximum(
        np.where(cosines > _CHANCE_SIMILARITY, cosines, 0.0),
        np.where(word_cosines > _CHANCE_WORDS, word_cosines, 0.0),
    )
    is_same = np.array([[one.item_id == name for name in liked_names] for one in new])
    return np.asarray((np.where(is_same, 0.0, similarity) * STEP ** np.arange(len(liked_names))).max(axis=1))


def _affinities(new: Sequence[Candidate], query: RankingQuery) -> list[float]:
    features = query.features
    categories, topics, sources = (
        shares_of_strongest(sums) | dict.fromkeys(features.preferred, 1.0)
        for sums in (features.categories, features.topics, features.sources)
    )
    return [_affinity(one, categories, topics, sources) for one in new]


def _situation_affinities(new: Sequence[Candidate], query: RankingQuery) -> list[float]:
    """Return the affinity to each item in the present situations, on average."""
    features = query.features
    shares = [
        learned_shares(by_label) for one in features.situation if (by_label := features.situation_affinities.get(one))
    ]
    return [sum(_affinity(one, by_label, by_label, {}) for by_label in shares) / max(len(shares), 1) for one in new]


def _affinity(
    one: Candidate, categories: Mapping[str, float], topics: Mapping[str, float], sources: Mapping[str, float]
) -> float:
    """Return the mean of the affinity to the category, else the source, and of those to the topics together."""
    kind = categories.get(one.category, 0.0) if one.category else sources.get(one.source, 0.0)
    return (kind + min(max(sum(topics.get(topic, 0.0) for topic in one.topics), -1.0), 1.0)) / 2


def _signature(one: Candidate) -> NDArray[np.float32]:
    return signature(one.item_id, one.title, one.category, one.topics)


def _liked_signature(
    item_id: str, descriptions: Mapping[str, Candidate], catalog: CatalogSnapshot
) -> NDArray[np.float32]:
    labels = catalog.labels(item_id)
    if labels is not None:
        return signature(item_id, catalog.title(item_id), labels.category, labels.topics)
    return _signature(descriptions.get(item_id) or Candidate(item_id=item_id))


def _words(one: Candidate) -> Words:
    return words_of(f"{one.title} {one.text}")


def _liked_words(item_id: str, descriptions: Mapping[str, Candidate], catalog: CatalogSnapshot) -> Words:
    words = catalog.word_index.words(catalog.items.get(item_id))
    return _words(descriptions[item_id]) if not len(words) and item_id in descriptions else words
