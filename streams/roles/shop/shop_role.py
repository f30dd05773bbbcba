"""Shop role: interactions, trending scores, the catalogue → home pages and charts in Redis, similarities in PostgreSQL.

A batch consumer without a table. It reads a user's history from the archive, and adds the events that it has read and
the archive has not stored yet, so that a repeated batch yields the same home pages. A request to retrain is kept in
Redis until the next fit.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

import asyncpg
from aiokafka import ConsumerRecord

from domain.timestamp import DAY_MS, epoch_ms, utc_time
from infra import clock
from infra.erasure.erasure_index import ErasureIndex
from infra.postgres.pool import LazyPool, write_errors
from infra.postgres.shop_search import PostgresShopSearch, ShopQuery
from infra.redis.stores.chart_store import ChartStore, RedisChartStore
from infra.redis.stores.shop_store import (
    MAX_PRODUCTS,
    FitRequest,
    RedisShopStore,
    ShopStore,
    StoredCharts,
    StoredHome,
)
from infra.settings import Settings
from schemas.limit import PRODUCT
from schemas.types import ErasureRequest, Interaction
from streams.core.shop.home_blend import ItemScores, blend_home, dcg_weights, ranking_by_age
from streams.core.shop.product_rankings import ProductRankings, RankedProduct
from streams.roles.shop import similarity_fit
from streams.roles.shop.unarchived_events import UnarchivedEvents
from streams.runtime.core_params import home_mix
from streams.runtime.decode import Decoder
from streams.runtime.erasure_sink import with_erasures
from streams.runtime.retry import retry_until_available
from streams.runtime.role import Role, open_role
from streams.runtime.sink import Write, run_sink
from streams.runtime.user_eraser import RedisUserEraser
from topics.topic import ERASURE_REQUESTS, INTERACTIONS, TRIGGERS

P = ParamSpec("P")
T = TypeVar("T")

_CHARTS_EVERY_S = 15.0
_RETRY_S = 1.0
_WAITS = "the shop role waits for a store"
_CLICKS, _SEARCHES = 20, 5
"""Numbers of a user's newest clicks and searches that count."""
_FOUND = 60
_NOT_LIKED = frozenset(("skip", "dislike", "unknown"))
_FOUND_QUERIES = 5_000
"""Queries whose results are cached until the products are read again."""
_LOG = logging.getLogger(__name__)

_PRODUCTS = """
SELECT item_id, category, price, original_price, rating, reviews, sold_out AND $2 AS is_sold_out
FROM items WHERE left(kind, 256) = $1 AND NOT private
"""
_DONE = """
SELECT event_id, user_id, item_id, action, query, occurred_at, appended_at FROM unnest($1::text[]) AS wanted, LATERAL (
    SELECT * FROM interactions WHERE user_id = wanted AND occurred_at > $2 ORDER BY occurred_at DESC LIMIT 200) AS done
"""
_SIMILAR = """
SELECT item_id, others, scores FROM likeness WHERE item_id = ANY($1)
UNION ALL
SELECT item_id, array_agg(other), array_agg(confidence) FROM association_rules WHERE item_id = ANY($1) GROUP BY item_id
"""


class ShopProjector:
    """Builds home pages and charts from trending scores, similarities and interactions."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        search: PostgresShopSearch,
        charts: ChartStore,
        store: ShopStore,
        settings: Settings,
        *,
        erasures: ErasureIndex | None = None,
    ) -> None:
        self._erasures = erasures
        self._pool, self._search, self._charts, self._store = pool, search, charts, store
        self._hides_out_of_stock = settings.hides_out_of_stock
        self._inactive_ms = round(settings.shop_inactive_days * DAY_MS)
        self._mix = home_mix(settings)
        self.rankings = ProductRankings([], {})
        self._search_results: dict[str, list[str]] = {}
        self._unarchived_events = UnarchivedEvents()
        self.is_loaded = asyncio.Event()
        """Set once the products have been read."""
        self.homes = 0
        """Home pages written since the start."""

    async def update_products(self, now_ms: int) -> None:
        """Read the current products, and write the charts.

        Raises:
            CONNECTION_ERRORS, StoreError
        """
        rows = await self._pool.fetch(_PRODUCTS, PRODUCT, self._hides_out_of_stock)
        products = [RankedProduct(*row) for row in rows]
        trending = await self._charts.trends(sorted({product.category for product in products}))
        self.rankings = await asyncio.to_thread(ProductRankings, products, trending)
        self._search_results.clear()
        self.is_loaded.set()
        if rows:
            await self._store.write_charts(await asyncio.to_thread(self._charts_now, now_ms))

    async def write_homes(self, events: Sequence[Interaction], now_ms: int) -> None:
        """Write the home pages of all users who have clicked on a product or searched.

        Raises:
            CONNECTION_ERRORS, StoreError
        """
        products = self.rankings.products
        shop_events = [event for event in events if event.action == "search" or event.item_id in products]
        users = list(dict.fromkeys(event.user_id for event in shop_events))
        if not users or not products:
            return
        self._unarchived_events.add(shop_events)
        try:
            await self._write_homes_of(users, now_ms)
        except Exception:
            for event in shop_events:  # one that cannot be used must not spoil the next home of its user
                self._unarchived_events.discard(event.user_id, [event.event_id])
            raise

    async def _write_homes_of(self, users: Sequence[str], now_ms: int) -> None:
        by_user = await self._recent_events(users, now_ms - self._inactive_ms)
        clicks_by_user = {user_id: self._clicked(user_events) for user_id, user_events in by_user.items()}
        similarities = await self._similarities({item for items in clicks_by_user.values() for item in items})
        homes = [
            await self._home(user_id, clicks_by_user[user_id], user_events, similarities, now_ms)
            for user_id, user_events in by_user.items()
        ]
        await self._store.write([home for home in homes if home is not None])
        self.homes += len(homes)

    def erase(self, user_id: str) -> None:
        """Forget the events of a user that are not in the archive."""
        self._unarchived_events.erase(user_id)

    async def _recent_events(self, users: Sequence[str], since_ms: int) -> dict[str, list[Interaction]]:
        """Return the events of users since a time, newest first: those in the archive and those on their way there."""
        archived_events: dict[str, dict[str, Interaction]] = {user_id: {} for user_id in users}
        for row in await self._pool.fetch(_DONE, users, utc_time(since_ms)):
            if not self._is_erased(row):
                archived_events[row["user_id"]][row["event_id"]] = _event(row)
        by_user = {}
        for user_id, events in archived_events.items():
            self._unarchived_events.discard(user_id, events)
            recent = [*events.values(), *self._unarchived_events.of(user_id).values()]
            by_user[user_id] = sorted(
                (event for event in recent if event.occurred_at > since_ms),
                key=lambda one: (-one.occurred_at, one.event_id),
            )
        return by_user

    def _is_erased(self, row: Any) -> bool:
        """Return whether an archived event belongs to an erased user, from whom the archive has yet to delete it."""
        at_ms = epoch_ms(row["appended_at"])
        return self._erasures is not None and self._erasures.covers(row["user_id"].encode(), at_ms)

    async def _home(
        self,
        user_id: str,
        clicked_products: list[str],
        events: Sequence[Interaction],
        similarities: Mapping[str, ItemScores],
        now_ms: int,
    ) -> StoredHome | None:
        """Return a user's home page from their events, newest first; None without clicks and searches in the shop."""
        queries = list(dict.fromkeys(event.query for event in events if event.action == "search" and event.query))
        if not (clicked_products or queries):
            return None
        rng = random.Random(f"{user_id} {now_ms // DAY_MS}")  # noqa: S311 - which products, not a secret
        diverse = self.rankings.diverse(clicked_products, rng, MAX_PRODUCTS)
        personal = blend_home(
            ranking_by_age(similarities[item] for item in clicked_products),
            ranking_by_age([dcg_weights(await self._find(query)) for query in queries[:_SEARCHES]]),
            diverse,
            mix=self._mix,
            excluded_products=(*clicked_products, *self.rankings.sold_out),
            limit=MAX_PRODUCTS,
        )
        products = self.rankings.products
        newest = max(event.occurred_at for event in events if event.item_id in products or event.action == "search")
        return StoredHome(user_id=user_id, personalized=personal, diverse=diverse, stale_at=newest + self._inactive_ms)

    def _clicked(self, events: Sequence[Interaction]) -> list[str]:
        """Return the products that a user liked, newest first."""
        products = self.rankings.products
        liked_products = (
            str(event.item_id) for event in events if event.item_id in products and event.action not in _NOT_LIKED
        )
        return list(dict.fromkeys(liked_products))[:_CLICKS]

    async def _similarities(self, clicked_products: Iterable[str]) -> dict[str, dict[str, float]]:
        """Return for each product the scores of similar and of associated products."""
        scores_by_item: dict[str, dict[str, float]] = {item: {} for item in clicked_products}
        for row in await self._pool.fetch(_SIMILAR, list(scores_by_item)):
            scores = scores_by_item[row["item_id"]]
            for other, score in zip(row["others"], row["scores"], strict=True):
                scores[other] = scores.get(other, 0.0) + score
        return scores_by_item

    async def _find(self, query: str) -> list[str]:
        """Return the product ids for a query; results are cached until the products are read again."""
        if query not in self._search_results:
            if len(self._search_results) >= _FOUND_QUERIES:
                self._search_results.clear()
            self._search_results[query] = (
                await self._search.find(ShopQuery(query=query, kind=PRODUCT, limit=_FOUND))
            ).item_ids
        return self._search_results[query]

    def _charts_now(self, now_ms: int) -> StoredCharts:
        rng = random.Random(now_ms // DAY_MS)  # noqa: S311 - which products, not a secret
        return StoredCharts(
            trending=self.rankings.trending(MAX_PRODUCTS),
            best_value=self.rankings.best_value(MAX_PRODUCTS),
            top_categories=self.rankings.top_categories(MAX_PRODUCTS),
            diverse=self.rankings.diverse((), rng, MAX_PRODUCTS),
        )


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the role until `stop` is set."""
    async with open_role("shop", settings) as role:
        connections = LazyPool(settings.database_url, connections=4)
        try:
            pool = await _retry(connections.pool)
            search = PostgresShopSearch(
                connections, radius_km=settings.nearby_radius_km, hides_out_of_stock=settings.hides_out_of_stock
            )
            charts, store = RedisChartStore(role.redis), RedisShopStore(role.redis)
            shop = ShopProjector(pool, search, charts, store, settings, erasures=role.erasures)

            eraser = RedisUserEraser(role.redis, role.name)

            async def stock() -> None:
                await _retry(shop.update_products, clock.now_ms())

            async def fit() -> None:
                await fit_if_due(pool, store, settings, utc_time(clock.now_ms()))

            async def erase(request: ErasureRequest) -> None:
                shop.erase(request.user_id)
                await eraser.erase(request, {})

            await role.run(
                stop,
                run_sink(
                    role,
                    [INTERACTIONS, TRIGGERS, ERASURE_REQUESTS],
                    with_erasures(role, _shop_writer(role, shop, store), erase),
                ),
                _repeat(stock),
                _repeat(fit),
                describe=lambda: {"products": len(shop.rankings.products), "homes": shop.homes},
            )
        finally:
            await connections.close()


async def fit_if_due(pool: asyncpg.Pool, store: ShopStore, settings: Settings, now: datetime) -> None:
    """Fit the shop's models if a fit is due by the schedule, by a request, or by changes of the catalogue.

    Args:
        pool: Connections to PostgreSQL.
        store: Holds the last request to retrain.
        settings: The interval of the schedule, and the size of the vocabulary.
        now: The current time.
    """
    request = await _retry(store.fit_request)
    requested_at = None if request is None else utc_time(request.requested_at)
    if await _retry(similarity_fit.is_due, pool, settings.shop_fit_interval_s, now, requested_at=requested_at):
        await _retry(similarity_fit.fit, pool, now, features=settings.tfidf_max_features)


def _shop_writer(role: Role, shop: ShopProjector, store: ShopStore) -> Write:
    """Return a function that writes the home pages of the users of a batch, and notes requests to retrain."""
    events_decoder = role.decoder(INTERACTIONS)
    triggers_decoder = Decoder(TRIGGERS, role.registry, None, stage=role.name, erasures=role.erasures)

    async def serve(some: Sequence[tuple[ConsumerRecord, Interaction]]) -> None:
        await shop.is_loaded.wait()
        with write_errors("building home pages"):
            await shop.write_homes([event for _, event in some], clock.now_ms())

    async def write(topic: str, records: Sequence[ConsumerRecord]) -> None:
        if topic == TRIGGERS.name:
            for record, trigger in await triggers_decoder.decode(records):
                if trigger.kind == "retrain":
                    await _retry(store.request_fit, FitRequest(trigger.event_id, record.timestamp))
            return
        events = await events_decoder.decode(records)
        await role.dead_letters.write(events, serve, stage="shop.serve", log_message=_WAITS)

    return write


async def _retry(work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do some work, however long a store is unavailable."""

    async def attempt() -> T:
        with write_errors("the shop's work"):
            return await work(*args, **kwargs)

    return await retry_until_available(attempt, _WAITS, pause_s=_RETRY_S)


async def _repeat(work: Callable[[], Awaitable[None]]) -> None:
    """Do some work periodically. It may fail, as when others write the same rows or a value exceeds its column."""
    while True:
        try:
            await work()
        except Exception:
            _LOG.exception("the shop continues with its present data")
        await asyncio.sleep(_CHARTS_EVERY_S)


def _event(row: Any) -> Interaction:
    fields = {name: row[name] for name in ("event_id", "user_id", "item_id", "action", "query")}
    return Interaction(**fields, occurred_at=epoch_ms(row["occurred_at"]))
