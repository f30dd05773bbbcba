"""Home pages of a shop from a real catalogue: their mix, clicks in quick succession, and the schedule of the fits."""

import uuid
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import msgspec
import pytest

from domain.timestamp import DAY_MS, epoch_ms
from infra import clock
from infra.address import Addresses
from infra.postgres.pool import LazyPool
from infra.redis.stores.chart_store import MemoryChartStore
from infra.redis.stores.shop_store import FitRequest, MemoryShopStore, RedisShopStore
from infra.settings import Settings
from models.text.subword import Subword
from schemas.limit import RETRAINER
from schemas.types import Interaction, Trigger
from streams.roles.archive import archive_role as archive
from streams.roles.archive.catalog_indexer import CatalogIndexer
from streams.roles.shop.shop_role import ShopProjector, fit_if_due
from tests.build import a_product, a_shop_search, an_interaction
from tests.pipeline.pipeline import a_pipeline, until
from topics.topic import INTERACTIONS, ITEMS, TRIGGERS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_MS = epoch_ms(NOW)
NAMES = {
    "AUDIO": "Wireless Headphones",
    "SHOES": "Running Shoes",
    "LAMPS": "Brass Lamp",
    "TOYS0": "Wooden Train",
    "BOOKS": "Crime Novel",
}


class Place(NamedTuple):
    topic: str
    offset: int = 0
    timestamp: int = NOW_MS
    partition: int = 0


def product_id(name: str, number: int) -> str:
    return f"{name}{number:05}"


@pytest.fixture
async def pool(stack: Addresses) -> AsyncIterator[asyncpg.Pool]:
    """A catalogue of thirty products of each category, and nothing that anyone did."""
    connections = LazyPool(stack.database_url)
    pool = await connections.pool()
    await fill(pool)
    yield pool
    await pool.execute("TRUNCATE items, shop_fits, interactions CASCADE")
    await connections.close()


async def fill(pool: asyncpg.Pool) -> None:
    await pool.execute("TRUNCATE items, shop_fits, interactions CASCADE")
    products = [
        a_product(product_id(name, number), f"{title} {number}", category=name, topics=[title])
        for name, title in NAMES.items()
        for number in range(30)
    ]
    await pool.executemany(archive.upsert_items(), [archive.item_row(Place(ITEMS.name), item) for item in products])
    indexer = CatalogIndexer(pool, Subword())
    await indexer.step()
    await indexer.rebuild_dictionary()


@pytest.fixture
async def shop(stack: Addresses, pool: asyncpg.Pool) -> AsyncIterator[ShopProjector]:
    connections = LazyPool(stack.database_url)
    store = MemoryShopStore()
    await fit_if_due(pool, store, Settings(), NOW)
    shop = ShopProjector(pool, a_shop_search(connections), MemoryChartStore(), store, Settings())
    await shop.update_products(NOW_MS)
    yield shop
    await connections.close()


async def home_of(shop: ShopProjector, user_id: str) -> list[str]:
    home, _ = await shop._store.read(user_id, now_ms=NOW_MS)
    assert home is not None
    return home.personalized


def a_click(user_id: str, number: int, **fields: Any) -> Interaction:
    return an_interaction(
        user_id=user_id, item_id=product_id("AUDIO", number), occurred_at=NOW_MS - 1_000 + 150 * number, **fields
    )


async def test_a_first_page_has_ten_eight_and_two_of_what_was_clicked_searched_and_neither(
    shop: ShopProjector,
) -> None:
    for user_id in ("ann", "bob", "cem", "dee"):
        search = an_interaction(
            user_id=user_id, action="search", item_id=None, query="running shoes", occurred_at=NOW_MS - 500
        )
        await shop.write_homes([*(a_click(user_id, number) for number in range(3)), search], NOW_MS)
        categories = Counter(item[:5] for item in (await home_of(shop, user_id))[:20])
        assert categories["AUDIO"] == 10
        assert categories["SHOES"] in (8, 9), "diverse picks may be shoes, too: nobody clicked on any"
        assert sum(categories.values()) == 20


async def test_clicks_in_quick_succession_are_all_in_the_home_before_the_archive_has_them(
    shop: ShopProjector, pool: asyncpg.Pool
) -> None:
    clicks = [a_click("ann", number) for number in range(3)]
    for click in clicks:  # each in a batch of its own
        await shop.write_homes([click], NOW_MS)
    click_ids = {click.item_id for click in clicks}
    assert not click_ids & set(await home_of(shop, "ann")), "what was clicked is not recommended"
    rows = [archive.interaction_row(Place(INTERACTIONS.name, offset), click) for offset, click in enumerate(clicks)]
    await pool.executemany(archive.insert_interactions(), rows)
    await shop.write_homes([a_click("ann", 3)], NOW_MS)
    assert not {*click_ids, product_id("AUDIO", 3)} & set(await home_of(shop, "ann"))
    assert len(shop._unarchived_events.of("ann")) == 1, "the fourth click is not in the archive"


async def test_an_event_that_cannot_be_used_is_not_kept_for_later_homes(shop: ShopProjector) -> None:
    with pytest.raises(asyncpg.DataError):
        await shop.write_homes([a_click("a\0b", 1)], NOW_MS)
    assert len(shop._unarchived_events) == 0
    await shop.write_homes([a_click("ann", 1)], NOW_MS)
    assert len(await home_of(shop, "ann")) == 60


async def fits(pool: asyncpg.Pool) -> list[datetime]:
    return [row["fitted_at"] for row in await pool.fetch("SELECT fitted_at FROM shop_fits ORDER BY fitted_at")]


async def test_the_models_are_fitted_daily_and_on_request(pool: asyncpg.Pool) -> None:
    store, settings = MemoryShopStore(), Settings()

    async def fits_at(**after: float) -> int:
        await fit_if_due(pool, store, settings, NOW + timedelta(**after))
        return len(await fits(pool))

    assert await fits_at() == 1, "the first one"
    assert await fits_at(hours=23, minutes=59) == 1
    assert await fits_at(hours=24) == 2
    request = FitRequest("again", NOW_MS + DAY_MS + 60_000)
    await store.request_fit(request)
    assert await fits_at(hours=24, minutes=2) == 3
    await store.request_fit(request)
    assert await fits_at(hours=24, minutes=3) == 3, "one request, one fit"
    assert await fits_at(hours=48, minutes=1) == 3
    assert await fits_at(hours=48, minutes=2) == 4, "a day after the last one"


async def test_a_fit_has_what_changed_since_the_last_one_and_homes_follow_it(
    shop: ShopProjector, pool: asyncpg.Pool
) -> None:
    store = MemoryShopStore()
    pairs = [a_click(f"u{user}", 2 * (user % 2) + number) for user in range(8) for number in (1, 2)]
    rows = [archive.interaction_row(Place(INTERACTIONS.name, offset), click) for offset, click in enumerate(pairs)]
    await pool.executemany(archive.insert_interactions(), rows)
    assert await pool.fetchval("SELECT count(*) FROM association_rules") == 0
    await fit_if_due(pool, store, Settings(), NOW + timedelta(hours=23))
    assert await pool.fetchval("SELECT count(*) FROM association_rules") == 0
    await fit_if_due(pool, store, Settings(), NOW + timedelta(hours=24))
    rules = await pool.fetch("SELECT item_id, other FROM association_rules")
    together = [(product_id("AUDIO", one), product_id("AUDIO", other)) for one, other in ((1, 2), (3, 4))]
    assert {tuple(rule) for rule in rules} == {*together, *(pair[::-1] for pair in together)}
    await shop.write_homes([a_click("ann", 4)], NOW_MS)
    assert (await home_of(shop, "ann"))[0] == product_id("AUDIO", 3), "it is alike, and goes with what was clicked"


async def test_the_role_counts_fast_clicks_without_an_archive_and_fits_on_request(
    stack: Addresses, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    async with a_pipeline(stack, tmp_path) as pipeline:
        await fill(pool)
        await pipeline.start("shop")

        async def first_fit() -> bool:
            return len(await fits(pool)) == 1

        await until(first_fit, what="a first fit")
        now_ms = clock.now_ms()
        clicks = [a_click("ann", number, event_id=str(uuid.uuid4())) for number in range(3)]
        for place, click in enumerate(clicks):
            await pipeline.publish(INTERACTIONS, [msgspec.structs.replace(click, occurred_at=now_ms + 150 * place)])
        store = RedisShopStore(pipeline.redis)

        async def has_all_clicks() -> bool:
            home, _ = await store.read("ann", now_ms=now_ms)
            return home is not None and not {click.item_id for click in clicks} & set(home.personalized)

        await until(has_all_clicks, what="a home with all clicks")
        trigger = Trigger(event_id="again", user_id=RETRAINER, kind="retrain", occurred_at=now_ms)
        await pipeline.publish(TRIGGERS, [trigger])

        async def second_fit() -> bool:
            return len(await fits(pool)) == 2

        await until(second_fit, what="a fit on request")
