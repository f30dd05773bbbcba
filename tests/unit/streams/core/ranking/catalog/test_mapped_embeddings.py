"""Mapped embeddings in the catalog snapshot: new items score by their topics until they have events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from schemas.types import ItemEmbedding, RecentItem
from streams.core.item.embedding_record import STORED
from streams.core.params import RankParams
from streams.core.ranking.catalog import mapped_embeddings
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.ranking_query import ranking_query
from streams.core.ranking.stages import candidate_sources
from streams.core.ranking.stages.features import FEATURES, feature_matrix
from tests.build import T0_MS, an_item, features
from tests.params import RANK_PARAMS

TOPICS, LEARNED, NEW = 4, 160, 40
SIZE = 128


def an_embedding(item_id: str, topic: int, *, seed: int, event_count: int = 20) -> ItemEmbedding:
    """Return the embedding of an item that people of a topic like."""
    vector = 0.1 * np.random.default_rng(seed).standard_normal(SIZE)
    vector[topic] += 2.0
    return ItemEmbedding(
        item_id=item_id, space="softmax-128", vector=vector.astype(STORED).tobytes(), bias=0.0, watermark=T0_MS,
        event_count=event_count,
    )  # fmt: skip


def a_catalog(*, exact_items: int = 20_000, is_telling: bool = True) -> CatalogSnapshot:
    """Return a catalog of learned and of new items; their texts may tell the topic that decides who likes them."""
    catalog, draw = CatalogSnapshot(exact_items=exact_items), np.random.default_rng(5)
    for number in range(LEARNED + NEW):
        topic = number % TOPICS if is_telling else int(draw.integers(TOPICS))
        catalog.apply_item(an_item(f"i{number}", title=f"Title {number}", topics=[f"topic-{topic}"]))
    for number in range(LEARNED):
        catalog.apply_embedding(an_embedding(f"i{number}", number % TOPICS, seed=number))
    refreshed(catalog)
    return catalog


def refreshed(catalog: CatalogSnapshot) -> None:
    catalog.is_stale = True
    while catalog.refresh():
        pass


def scores(catalog: CatalogSnapshot, topic: int, params: RankParams = RANK_PARAMS) -> dict[str, float]:
    """Return the feature `embedding` by item, of a user who likes a topic."""
    recent = [RecentItem(item_id=f"i{topic + TOPICS * n}", weight=1.0, at=T0_MS) for n in range(5)]
    query = ranking_query(features(recent=recent), catalog, params, at_ms=T0_MS)
    matrix = feature_matrix(query, catalog, slice(None))
    return dict(
        zip(catalog.items.names, matrix.column(slice(None))[list(FEATURES).index("embedding")].tolist(), strict=True)
    )


NEW_ITEMS = [f"i{number}" for number in range(LEARNED, LEARNED + NEW)]


def test_new_items_of_the_right_topic_score_higher() -> None:
    catalog = a_catalog()
    for topic in range(TOPICS):
        values = scores(catalog, topic)
        right = [values[item] for item in NEW_ITEMS if int(item[1:]) % TOPICS == topic]
        wrong = [values[item] for item in NEW_ITEMS if int(item[1:]) % TOPICS != topic]
        assert min(right) > 0.1 > max(wrong)


def test_texts_that_tell_nothing_change_no_score() -> None:
    catalog = a_catalog(is_telling=False)
    assert catalog.mapped_embeddings.trust == (0.0, 0.0)
    assert not any(scores(catalog, 0)[item] for item in NEW_ITEMS)


def test_an_embedding_of_its_own_counts_from_then_on() -> None:
    catalog, item = a_catalog(), NEW_ITEMS[0]
    own = an_embedding(item, 3, seed=999, event_count=1)
    catalog.apply_embedding(own)
    refreshed(catalog)
    index = np.array([catalog.items.get(item)], np.int32)
    assert catalog.embeddings.has(index).all()
    assert catalog.embeddings.embedding(int(index[0]))[0].astype(STORED).tobytes() == own.vector
    catalog.remove_embedding(item)
    refreshed(catalog)
    assert scores(catalog, 0)[item] > 0.1, "without it, its text counts again"


def test_mapped_embeddings_make_up_no_user() -> None:
    catalog = a_catalog()
    recent = [RecentItem(item_id=item, weight=1.0, at=T0_MS) for item in NEW_ITEMS[:3]]
    assert ranking_query(features(recent=recent), catalog, RANK_PARAMS, at_ms=T0_MS).embedding is None


def test_a_changed_text_is_mapped_again_and_a_removed_item_no_more() -> None:
    catalog, item = a_catalog(), NEW_ITEMS[0]
    catalog.apply_item(an_item(item, title="Title", topics=["topic-1"]))
    refreshed(catalog)
    assert scores(catalog, 1)[item] > 0.1 > scores(catalog, 0)[item]
    catalog.remove_item(item)
    refreshed(catalog)
    assert scores(catalog, 1)[item] == 0.0


def test_a_new_item_of_a_large_catalogue_is_a_candidate_by_its_mapped_embedding() -> None:
    params = replace(RANK_PARAMS, exact_items=100, source_items=180)
    catalog = a_catalog(exact_items=100)
    recent = [RecentItem(item_id=f"i{TOPICS * n}", weight=1.0, at=T0_MS) for n in range(5)]
    query = ranking_query(features(recent=recent), catalog, params, at_ms=T0_MS)
    names = [catalog.items.names[item] for item in candidate_sources.embedded(query, catalog, params)]
    new_items = [item for item in names if item in NEW_ITEMS]
    assert new_items
    assert {int(item[1:]) % TOPICS for item in new_items} == {0}
    catalog.remove_item(new_items[0])
    refreshed(catalog)
    names = [catalog.items.names[item] for item in candidate_sources.embedded(query, catalog, params)]
    assert new_items[0] not in names


def test_items_with_few_events_teach_nothing() -> None:
    catalog = CatalogSnapshot()
    for number in range(LEARNED + NEW):
        catalog.apply_item(an_item(f"i{number}", topics=[f"topic-{number % TOPICS}"]))
    for number in range(LEARNED):
        catalog.apply_embedding(an_embedding(f"i{number}", number % TOPICS, seed=number, event_count=4))
    refreshed(catalog)
    assert catalog.mapped_embeddings.trust == (0.0, 0.0)


def test_the_mapping_follows_the_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped_embeddings, "_CHANGES", 1)
    monkeypatch.setattr(mapped_embeddings, "_CHANGES_PER_ITEM", 1)
    catalog = a_catalog()
    for number in range(LEARNED):
        catalog.apply_embedding(an_embedding(f"i{number}", (number + 1) % TOPICS, seed=number))
    refreshed(catalog)
    vectors = catalog.embeddings.with_biases(np.arange(LEARNED, LEARNED + NEW, dtype=np.int32))
    assert (vectors[:, :TOPICS].argmax(axis=1) == (np.arange(LEARNED, LEARNED + NEW) + 1) % TOPICS).all()
    draw = np.random.default_rng(0)
    for number in range(LEARNED):
        catalog.apply_embedding(an_embedding(f"i{number}", int(draw.integers(TOPICS)), seed=number))
    refreshed(catalog)
    assert not scores(catalog, 0)[NEW_ITEMS[0]], "texts no longer tell anything"
