"""Filters: the items that each removes, and their counts."""

from __future__ import annotations

import numpy as np
import pytest

from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import build_candidates
from streams.core.ranking.ranking_query import RankingQuery, ranking_query
from streams.core.ranking.stages.filters import FILTERS, UNLISTED, apply_filters, is_removed
from tests.build import T0_MS, an_item, features
from tests.params import RANK_PARAMS

REMOVED = {
    "muted": {"muted", "of muted topic", "of muted category"},
    "distant": {"distant"},
    "ended": {"ended"},
    "sold_out": {"sold out"},
    "seen": {"seen", "muted"},
}
USER = features(
    seen=["seen", "muted", "unknown"], muted=["muted", "noise", "ads", "unknown"], city="Lisbon", watermark=T0_MS
)


@pytest.fixture
def catalog() -> CatalogSnapshot:
    catalog = CatalogSnapshot()
    for item in (
        an_item("kept"),
        an_item("nearby", city="Lisbon"),
        an_item("muted"),
        an_item("of muted topic", topics=["jazz", "noise"]),
        an_item("of muted category", category="ads"),
        an_item("distant", city="Tokyo"),
        an_item("ended", attributes={"starts": "2023-11-01T13:00"}),
        an_item("sold out", stock=0),
        an_item("seen"),
        an_item("of another user", private=True),
    ):
        catalog.apply_item(item)
    catalog.refresh()
    return catalog


def query(catalog: CatalogSnapshot) -> RankingQuery:
    return ranking_query(USER, catalog, RANK_PARAMS, at_ms=T0_MS)


@pytest.mark.parametrize("name", FILTERS)
def test_each_filter_removes_the_items_of_its_name(catalog: CatalogSnapshot, name: str) -> None:
    everything = np.arange(catalog.columns.count, dtype=np.int32)
    for where in (slice(None), everything, everything[::2]):
        mask = FILTERS[name].removes(query(catalog), catalog, RANK_PARAMS, where)
        assert mask is not None
        names = {catalog.items.names[item] for item in everything[where]}
        assert {catalog.items.names[item] for item in everything[where][mask]} == REMOVED[name] & names


def test_items_are_counted_once_by_the_first_filter_that_removes_them(catalog: CatalogSnapshot) -> None:
    result = apply_filters(query(catalog), catalog, RANK_PARAMS)
    kept_names = [name for name, is_kept in zip(catalog.items.names, result.is_kept, strict=False) if is_kept]
    assert kept_names == ["kept", "nearby"]
    assert result.removed_counts == {UNLISTED: 1, "muted": 3, "distant": 1, "ended": 1, "sold_out": 1, "seen": 1}
    assert sum(result.removed_counts.values()) + len(kept_names) == len(result.is_kept)


def test_a_filter_can_be_left_out(catalog: CatalogSnapshot) -> None:
    mask = is_removed(query(catalog), catalog, RANK_PARAMS, slice(None), without={"seen", "muted"})
    assert {catalog.items.names[item] for item in np.flatnonzero(mask)} == {"distant", "ended", "sold out"}


def test_items_newer_than_the_last_refresh_are_no_candidates(catalog: CatalogSnapshot) -> None:
    catalog.apply_item(an_item("new", topics=["noise"]))
    assert len(apply_filters(query(catalog), catalog, RANK_PARAMS).is_kept) == 10


def test_candidates_say_how_many_items_each_filter_removed(catalog: CatalogSnapshot) -> None:
    removed_counts = build_candidates(USER, catalog, RANK_PARAMS, at_ms=T0_MS).removed_counts
    assert (removed_counts["muted"], removed_counts["distant"], removed_counts[UNLISTED]) == (3, 1, 1)
