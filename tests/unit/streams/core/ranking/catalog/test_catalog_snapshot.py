"""The statistics of a catalog snapshot, and how they are forgotten."""

from __future__ import annotations

import math

import numpy as np

from schemas.types import ItemEmbedding, RecentItem
from streams.core.item.embedding_record import STORED, item_embedding, with_embedding
from streams.core.item.item_stats import COHORTS, HOURS, WEEKDAYS
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.item_columns import GLOBAL_FEATURES
from tests.build import T0_MS, an_item, features, stats


def an_embedding(item_id: str, *, space: str = "softmax-128", size: int = 128) -> ItemEmbedding:
    vector = np.linspace(0.0, 1.0, size).astype(STORED).tobytes()
    return ItemEmbedding(item_id=item_id, space=space, vector=vector, bias=0.5, watermark=T0_MS)


def test_embeddings_of_another_space_are_ignored() -> None:
    catalog = CatalogSnapshot()
    for item_id, record in (("i1", an_embedding("i1")), ("i2", an_embedding("i2", space="softmax-64", size=64))):
        catalog.apply_item(an_item(item_id))
        catalog.apply_embedding(record)
    assert catalog.embeddings.has(np.array([0, 1], np.int32)).tolist() == [True, False]
    catalog.remove_embedding("i1")
    catalog.remove_embedding("never there")
    assert not catalog.embeddings.has(np.array([0], np.int32)).any()


def test_an_embedding_goes_through_its_record() -> None:
    catalog, other = CatalogSnapshot(), CatalogSnapshot()
    catalog.apply_embedding(an_embedding("i1"))
    other.apply_embedding(item_embedding("i1", 0, catalog.embeddings, watermark=T0_MS))
    np.testing.assert_equal(other.embeddings.embedding(0), catalog.embeddings.embedding(0))


def test_a_user_has_the_embedding_of_the_last_items() -> None:
    catalog = CatalogSnapshot()
    catalog.apply_embedding(an_embedding("i1"))
    recent = [RecentItem(item_id="i1", weight=1.0, at=T0_MS)]
    person = with_embedding(features(recent=recent), catalog.items, catalog.embeddings)
    assert person.embedding == an_embedding("i1").vector
    assert person.embedding_space == "softmax-128"
    assert not with_embedding(features(), catalog.items, catalog.embeddings).embedding


def test_a_snapshot_without_statistics_is_one_that_never_had_any() -> None:
    fresh, other = CatalogSnapshot(), CatalogSnapshot()
    for catalog in (fresh, other):
        catalog.apply_item(an_item("i1"))
        catalog.apply_item(an_item("i2"))
    other.apply_stats(
        stats(
            "i1",
            trending=3.0,
            popularity=2.0,
            segments={"students": 1.0},
            horizons=[1.0, 2.0, 3.0, 4.0],
            cohorts=[1.0] * COHORTS,
            rating_sum=4.0,
            rating_count=1,
            first_at=T0_MS,
            hours=[1.0] * HOURS,
            weekdays=[1.0] * WEEKDAYS,
        )
    )
    other.refresh()
    assert "students" in other.charts.segments
    other.forget_stats()
    other.refresh()
    fresh.refresh()
    assert not other.charts.segments
    for name in ("horizon_logs", "cohorts", "rating_sums", "rating_counts", "first_at", "outcome_counts"):
        np.testing.assert_equal(getattr(other, name), getattr(fresh, name))
    assert (other.watermark, other.charts.popular.tolist()) == (fresh.watermark, fresh.charts.popular.tolist())


def test_actions_for_and_against_an_item_are_counted() -> None:
    catalog = CatalogSnapshot()
    counts = {"view": 5, "click": 3, "save": 1, "skip": 2, "hide": 1, "search": 9, "rate": 4}
    catalog.apply_stats(stats("i1", counts=counts, rating_count=4, rating_sum=3.0))
    catalog.apply_stats(stats("i2", counts={"click": 2}))
    assert catalog.outcome_counts[:2].tolist() == [[13.0, 3.0], [2.0, 0.0]]
    catalog.refresh()
    assert catalog.columns.outcome_ratio == 5.0
    catalog.forget_stats()
    catalog.refresh()
    assert catalog.columns.outcome_ratio == math.inf


def test_the_rating_that_the_catalogue_brings_along_is_the_prior_of_those_of_users() -> None:
    snapshot = CatalogSnapshot()
    ratings = {"good": (5.0, 500), "rare": (5.0, 1), "bad": (2.0, 500), "unrated": (None, None)}
    for item_id, (rating, reviews) in ratings.items():
        snapshot.apply_item(an_item(item_id, rating=rating, reviews=reviews))
    snapshot.refresh()
    good, rare, bad, other = rated(snapshot)
    assert good > rare > other == 0.0 > bad
    snapshot.apply_stats(stats("good", rating_sum=200.0, rating_count=100))
    snapshot.apply_stats(stats("unrated", rating_sum=400.0, rating_count=100))
    snapshot.refresh()
    assert rated(snapshot)[0] < 0.0 < rated(snapshot)[3], "what users say counts in the end"


def rated(snapshot: CatalogSnapshot) -> list[float]:
    return snapshot.columns.features[GLOBAL_FEATURES.index("rated")].tolist()
