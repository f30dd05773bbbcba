"""Each surface has a feed of its kinds, and the feed of all kinds is as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from domain.timestamp import MINUTE_MS
from infra.redis.stores.feed_codec import pack, unpack
from infra.redis.stores.feed_store import feed_at, has_surface
from infra.settings.surface import parse_surfaces
from schemas.types import Features, Feed, ItemNeighbors
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import new_blender, rank
from tests.build import T0_MS, an_item, stats
from tests.unit.streams.core.ranking.ranking_world import PARAMS, a_fan_of
from tests.unit.streams.core.ranking.test_ordering import a_blender

KINDS = ("", "product", "video")


def a_catalogue(*kinds: str, items: int = 120) -> CatalogSnapshot:
    """Return a catalogue whose most popular half is of the last kind, and the others of all kinds in turn."""
    catalogue = CatalogSnapshot()
    for number in range(items):
        kind = kinds[-1] if number < items // 2 else kinds[number % len(kinds)]
        catalogue.apply_item(an_item(f"i{number}", category=f"c{number % 4}", kind=kind, created_at=number))
        catalogue.apply_stats(stats(f"i{number}", popularity=-number / 10, trending=-number / 5))
    catalogue.refresh()
    return catalogue


def kind_of(catalogue: CatalogSnapshot, item_id: str) -> str:
    return catalogue.kinds.names[catalogue.kind[catalogue.items.get(item_id)]]


def ranked(catalogue: CatalogSnapshot, person: Features | None = None, surfaces: str | None = None) -> Feed:
    params = PARAMS
    if surfaces is not None:
        params = replace(PARAMS, surfaces={name: one.shows for name, one in parse_surfaces(surfaces).items()})
    return rank(person or a_fan_of("i1"), catalogue, new_blender(), params, now_ms=T0_MS)


def test_each_surface_has_a_full_feed_of_its_kinds() -> None:
    catalogue = a_catalogue("", "video", "product")
    feed = ranked(catalogue)
    assert {kind_of(catalogue, item) for item in feed.items} == {"product"}, "they are by far the most popular"
    for surface, kind in (("content", ""), ("video", "video"), ("shop", "product")):
        shown_feed = feed_at(feed, T0_MS, surface=surface)
        assert {kind_of(catalogue, item) for item in shown_feed.items} == {kind}
        assert len(set(shown_feed.items)) == len(shown_feed.items) == PARAMS.max_recommendations
        assert len(shown_feed.sources) == len(shown_feed.reasons) == len(shown_feed.items)


def test_the_feed_of_all_kinds_is_the_same_with_and_without_surfaces() -> None:
    catalogue = a_catalogue("", "video", "product")
    feed, without = ranked(catalogue), ranked(catalogue, surfaces="")
    assert structs.replace(feed, orders=[], others=None) == structs.replace(without, orders=[], others=None)
    assert not without.orders


def test_a_surface_ranks_as_a_catalogue_of_its_kinds_would() -> None:
    catalogue = a_catalogue("", "product")
    products = ranked(catalogue, surfaces="shop=product")
    alone = CatalogSnapshot()
    for number in range(len(catalogue.items)):
        if kind_of(catalogue, f"i{number}") == "product":
            alone.apply_item(an_item(f"i{number}", category=f"c{number % 4}", kind="product", created_at=number))
            alone.apply_stats(stats(f"i{number}", popularity=-number / 10, trending=-number / 5))
    alone.refresh()
    assert feed_at(products, T0_MS, surface="shop").items == ranked(alone, surfaces="").items


@pytest.mark.parametrize("kind", KINDS)
def test_a_catalogue_of_one_kind_needs_no_orders_of_surfaces(kind: str) -> None:
    feed = ranked(a_catalogue(kind))
    assert feed.orders == []
    assert feed_at(feed, T0_MS, surface="shop") is feed


def test_a_surface_with_few_items_ends_with_those_that_were_seen() -> None:
    catalogue = a_catalogue("", "product", items=100)
    for number in range(3):
        catalogue.apply_item(an_item(f"v{number}", kind="video"))
        catalogue.apply_stats(stats(f"v{number}", popularity=-number))
    catalogue.refresh()
    feed = ranked(catalogue, a_fan_of("v0"))
    assert feed_at(feed, T0_MS, surface="video").items == ["v1", "v2", "v0"]


def test_a_surface_follows_the_time_since_the_last_event() -> None:
    catalogue = a_catalogue("", "product")
    for item, other in (("i60", "i118"), ("i118", "i60")):
        catalogue.apply_neighbors(
            ItemNeighbors(item_id=item, neighbors=[other], scores=[9.0], mass=9.0, reference=T0_MS, watermark=T0_MS)
        )
    catalogue.refresh()
    feed = rank(a_fan_of("i60"), catalogue, a_blender(gap4=-9.0), PARAMS, now_ms=T0_MS)
    lists = [feed_at(feed, T0_MS + away_ms, surface="content").items for away_ms in (-1, 0, MINUTE_MS)]
    assert [items.index("i118") if "i118" in items else None for items in lists] == [0, 0, None]


def test_a_given_list_has_no_orders_of_surfaces() -> None:
    names = [f"i{number}" for number in range(60, 120)]
    feed = rank(a_fan_of("i1"), a_catalogue("", "product"), new_blender(), PARAMS, now_ms=T0_MS, among=names)
    assert (feed.orders, feed.others) == ([], None)


def test_the_store_keeps_the_orders_of_surfaces() -> None:
    feed = ranked(a_catalogue("", "video", "product"))
    stored_feed = unpack(feed.user_id, pack(feed))
    assert stored_feed.orders == feed.orders
    assert all(has_surface(stored_feed, name) for name in ("content", "video", "shop"))
    assert not has_surface(stored_feed, "magazine")


def test_kinds_without_an_item_are_forgotten() -> None:
    catalogue = a_catalogue("", "product")
    for number in range(60):
        catalogue.apply_item(an_item("gone", kind=f"kind {number}"))
    catalogue._compact_at = 10
    catalogue.refresh()
    assert set(catalogue.kinds.names) == {"", "product", "kind 59"}
    assert {kind_of(catalogue, f"i{number}") for number in range(120)} == {"", "product"}
