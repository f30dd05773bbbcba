"""Every sink takes every value that the limits allow: fuzzed with texts at their longest, on real servers."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from domain.nearby import GeoLocation
from infra import clock
from infra.address import Addresses
from infra.kafka.publisher import Publisher
from infra.postgres.hybrid_search import HybridQuery, HybridSearch
from infra.postgres.pool import LazyPool, open_pool
from infra.redis.connection import connect
from infra.redis.stores.chart_store import RedisChartStore
from infra.redis.stores.feed_store import RedisFeedStore
from infra.redis.stores.item_store import RedisItemStore
from infra.redis.stores.prefetch_store import Prefetched, RedisPrefetchStore
from infra.redis.stores.push_store import RedisPushStore
from infra.redis.stores.shop_store import RedisShopStore
from infra.settings import Settings
from models.text.subword import Subword
from schemas import limit, record_limit, text
from schemas.types import Arm, Device, Devices, FoundItem, Interaction, Item, PushPreferences
from streams.roles.archive.archive_role import ArchiveWriter, history_partitions
from streams.roles.archive.catalog_indexer import CatalogIndexer
from streams.roles.log.log_role import InteractionLogProjector, writes
from streams.roles.shop.shop_role import ShopProjector
from streams.runtime.dead_letter_queue import DeadLetterQueue
from tests.broker import Broker, Codecs, Record
from tests.build import (
    T0_MS,
    a_feed,
    a_notification,
    a_profile,
    a_shop_search,
    an_experiment,
    an_interaction,
    an_item,
    features,
    stats,
)
from topics import Topic
from topics.topic import DEAD_LETTERS, EXPERIMENTS, FEATURES, INTERACTIONS, ITEM_STATS, ITEMS, PROFILES

TEXTS = {
    "wide": "語",
    "widest": "𝄞",
    "plain": "a",
    "spaced": "ab ",
    "accents": "q\u0301",
    "right to left": "שלום ",
    "quotes": "'\"\\",
    "patterns": "%_*?",
    "markup": "<b>&amp;",
    "digits": "0123456789",
    "joined": "👩\u200d👩",
    "different": "".join(chr(0x4E00 + n) for n in range(5_000)),
}
IDS = {name: sample for name, sample in TEXTS.items() if sample.isprintable()}
"""Ids hold printable characters only."""
CONTROLS = "\x01\x1f\x7f\x85\u2028"


def filled(text: str, chars: int, first: str = "") -> str:
    return (first + text * (chars // len(text) + 1))[:chars].rstrip(" ") or text


class World:
    """Sinks over real servers, and what they set aside."""

    def __init__(self, pool: asyncpg.Pool, redis: Redis, addresses: Addresses) -> None:
        self.broker = Broker()
        registry = cast(Any, Codecs())
        self.publisher = Publisher("", registry, new_producer=cast(Any, self.broker.producer))
        dead_letters = DeadLetterQueue(self.publisher, now_ms=clock.now_ms)
        self.pool, self.redis = pool, redis
        self.archive = ArchiveWriter(pool, registry, dead_letters, partitions=history_partitions(Settings()))
        self.logging = InteractionLogProjector(writes(redis), registry, dead_letters)
        self.indexing = CatalogIndexer(pool, Subword(), on_reject=self._refuse)
        self.connections = LazyPool(addresses.database_url)
        self.shop = ShopProjector(
            pool,
            a_shop_search(self.connections),
            RedisChartStore(redis),
            RedisShopStore(redis),
            addresses.apply_to(Settings()),
        )
        self.refusals: list[tuple[str, str]] = []
        self._offset = 0

    async def archived(self, topic: Topic, values: Sequence[Any]) -> None:
        await asyncio.wait_for(self.archive.write(topic.name, self.records(topic, values)), 60)

    async def logged(self, topic: Topic, values: Sequence[Any]) -> None:
        await asyncio.wait_for(self.logging.write(topic.name, cast(Any, self.records(topic, values))), 60)

    def records(self, topic: Topic, values: Sequence[Any]) -> Any:
        codec, results = Codecs().codec(topic.record), []
        for value in map(text.canonical, values):
            record_limit.check(value, now_ms=clock.now_ms())
            self._offset += 1
            key = topic.key_of(value)
            results.append(Record(topic.name, 0, self._offset, key, codec.encode(value), clock.now_ms()))
        return results

    def letters(self) -> list[str]:
        return [f"{letter.stage}: {letter.detail}" for letter in self.broker.newest(DEAD_LETTERS).values()]

    async def _refuse(self, row: Any, error: Exception) -> None:
        self.refusals.append((row["item_id"], str(error)))


@pytest.fixture(scope="module")
async def world(stack: Addresses) -> AsyncIterator[World]:
    pool = await open_pool(stack.database_url)
    await pool.execute("TRUNCATE items, interactions, words CASCADE")
    redis = connect(stack.redis_url.removesuffix("/0") + "/14")  # a database of its own, to be emptied
    await redis.flushdb()
    world = World(pool, redis, stack)
    yield world
    await world.publisher.close()
    await world.connections.close()
    await redis.aclose()
    await pool.execute("TRUNCATE items, interactions, words CASCADE")
    await pool.close()


def an_extreme_item(text: str, id_text: str, *, first: str = "") -> Item:
    line, long = filled(text, limit.LINE_CHARS), filled(text, limit.TEXT_CHARS)
    names = [filled(id_text, limit.ID_CHARS, f"{n}-") for n in range(limit.LIST_ITEMS)]
    return an_item(
        filled(id_text, limit.ID_CHARS, first or f"{uuid.uuid4().hex[:8]}-"),
        category=filled(id_text, limit.ID_CHARS),
        title=line,
        description=long + CONTROLS if len(long) + len(CONTROLS) <= limit.TEXT_CHARS else long[:-9] + CONTROLS,
        topics=names,
        source=line,
        url=line,
        image_url=line,
        city=line,
        cell=line,
        kind=line,
        brand=line,
        price=1e12,
        original_price=0.0,
        rating=5.0,
        reviews=10**12,
        stock=0,
        created_at=0,
        attributes=dict.fromkeys(names[:50], text[: limit.TEXT_CHARS]) | {"long": long, "year": line, "starts": line},
    )


def extreme_events(text: str, id_text: str) -> list[Interaction]:
    names = [filled(id_text, limit.ID_CHARS, f"{uuid.uuid4().hex[:8]}{n}-") for n in range(4)]
    long, line = filled(text, limit.TEXT_CHARS), filled(text, limit.LINE_CHARS)
    fields: dict[str, Any] = {"user_id": names[0], "session_id": names[1], "request_id": names[2], "query": line}
    fields |= {"context": {names[3]: long, "controls": CONTROLS}, "occurred_at": clock.now_ms() - 5_000}
    return [
        an_interaction(event_id=names[1], item_id=names[2], action="rate", value=10.0, **fields),
        an_interaction(event_id=names[2], item_id=names[3], action="purchase", value=-1e6, **fields),
        an_interaction(event_id=names[3], item_id=None, action="search", **fields),
    ]


@pytest.mark.parametrize("kind", TEXTS)
async def test_the_archive_and_the_catalogue_take_any_item(world: World, kind: str) -> None:
    item = an_extreme_item(TEXTS[kind], IDS.get(kind, "x"))
    plain = an_item(uuid.uuid4().hex, category="music", title=f"Blue Train {kind}")
    await world.archived(ITEMS, [item, plain])
    assert await world.pool.fetchval("SELECT title FROM items WHERE item_id = $1", item.item_id) == item.title
    while await world.indexing.step():
        pass
    await world.indexing.rebuild_dictionary()
    assert (world.letters(), world.refusals) == ([], [])
    catalogue = HybridSearch(world.pool, encoder="subwords", radius_km=50.0, hides_out_of_stock=True)
    matches = await catalogue.search(HybridQuery(category="music", words=["train"], limit=1_000))
    assert plain.item_id in {match.item_id for match in matches}
    documents = "SELECT count(*) FROM catalogue WHERE item_id = $1 AND document <> ''"
    assert await world.pool.fetchval(documents, plain.item_id) == 1
    known_items = await catalogue.known(item.category, [item.title.casefold(), "nothing"])
    assert all(one.item_id for one in known_items)
    await catalogue.search(
        HybridQuery(category=item.category, words=[item.title], user=GeoLocation(city=item.title), limit=3)
    )


@pytest.mark.parametrize("kind", TEXTS)
async def test_the_archive_the_log_and_the_shop_take_any_event(world: World, kind: str) -> None:
    events = extreme_events(TEXTS[kind], IDS.get(kind, "x"))
    await world.archived(INTERACTIONS, events)
    rows = "SELECT count(*) FROM interactions WHERE user_id = $1"
    assert await world.pool.fetchval(rows, events[0].user_id) == len(events)
    await world.logged(INTERACTIONS, events)
    product = an_item(events[0].item_id or "", kind=limit.PRODUCT, price=1.0, original_price=2.0, reviews=3, rating=4.0)
    await world.archived(ITEMS, [product])
    await world.shop.update_products(clock.now_ms())
    await asyncio.wait_for(world.shop.write_homes(events, clock.now_ms()), 60)
    assert world.letters() == []


@pytest.mark.parametrize("kind", TEXTS)
async def test_the_read_models_take_anything_of_users_and_items(world: World, kind: str) -> None:
    text, id_text = TEXTS[kind], IDS.get(kind, "x")
    names = [filled(id_text, limit.ID_CHARS, f"{n}-") for n in range(limit.LIST_ITEMS)]
    line, long = filled(text, limit.LINE_CHARS), filled(text, limit.TEXT_CHARS)
    profile = a_profile(
        user_id=names[0],
        categories=names,
        topics=names,
        muted=names,
        segment=line,
        timezone=line,
        locale=line,
        city=line,
        attributes=dict.fromkeys(names[:100], long),
    )
    numbers = dict(zip(names, (1e12, -1e12, 0.0, 5e-324), strict=False))
    user_features = features(
        user_id=names[0], categories=numbers, topics=numbers, sources=numbers, segment=line, queries=[line]
    )
    arms = [Arm(name=name, share=0.5, parameters=dict.fromkeys(names[:50], long)) for name in names[:2]]
    experiment = an_experiment(experiment_id=names[0], name=line, description=long, metric=line, arms=arms)
    item = an_item(names[1], category=names[2])
    await RedisItemStore(world.redis).write([item, an_extreme_item(text, id_text)])
    for topic, value in (
        (PROFILES, profile),
        (FEATURES, user_features),
        (EXPERIMENTS, experiment),
        (ITEM_STATS, stats(names[1], trending=-745.0, segments={line: 1.0})),
        (ITEM_STATS, stats(names[3], trending=float("-inf"))),
        (ITEM_STATS, stats(names[4], trending=-1e12)),
        (ITEM_STATS, stats(names[5], trending=1e12)),
    ):
        await world.logged(topic, [value])
    assert world.letters() == []


@pytest.mark.parametrize("kind", TEXTS)
async def test_the_stores_of_feeds_pushes_and_prefetched_content_take_anything(world: World, kind: str) -> None:
    text, id_text = TEXTS[kind], IDS.get(kind, "x")
    names = [filled(id_text, limit.ID_CHARS, f"{n}-") for n in range(60)]
    line, long = filled(text, limit.LINE_CHARS), filled(text, limit.TEXT_CHARS)
    feeds, pushes, prefetch = (store(world.redis) for store in (RedisFeedStore, RedisPushStore, RedisPrefetchStore))
    feed = a_feed(user_id=names[0], items=names, scores=[0.5] * 60, sources=["x"] * 60, reasons=[line] * 60, parts={})
    await feeds.write([feed])
    assert (await feeds.read([names[0]])) == [feed]
    devices = [Device(token=f"{n}{long[:-2]}", platform="web", registered_at=0) for n in range(20)]
    preferences = PushPreferences(categories=names)
    await pushes.write_devices([Devices(user_id=names[0], devices=devices, preferences=preferences, changed_at=0)])
    await pushes.add_notifications(
        [a_notification(user_id=names[0], title=line, body=long, reason=line, category=line)]
    )
    assert len(await pushes.read_notifications(names[0], 5)) == 1
    answer = Prefetched(
        request_id=names[1],
        category=names[2],
        place=line,
        city=line,
        source=line,
        fallback=line,
        reason=line,
        items=[FoundItem(item_id=name, reason=line) for name in names],
        prompt_version="1",
        prompt_hash="",
        fetched_at=0,
        expires_at=clock.now_ms() + 60_000,
    )
    await prefetch.write(names[0], answer)
    await feeds.close()


LINES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=limit.LINE_CHARS).filter(
    lambda line: text.line_problem(line) is None
)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=limit.ID_CHARS).filter(
    lambda name: limit.id_problem(name) is None
)
TITLES = LINES.filter(lambda title: bool(text.cleaned(title)))


@st.composite
def items(draw: st.DrawFn) -> Item:
    lines = st.none() | LINES
    numbers = st.none() | st.floats(0.0, 1e12)
    return an_item(
        draw(NAMES),
        category=draw(NAMES),
        title=draw(TITLES),
        description=draw(LINES),
        topics=draw(st.lists(NAMES, max_size=5)),
        source=draw(LINES),
        attributes=draw(st.dictionaries(NAMES, LINES, max_size=3)),
        kind=draw(LINES),
        created_at=draw(st.integers(0, T0_MS)),
        **{name: draw(lines) for name in ("url", "image_url", "city", "cell", "brand")},
        **{name: draw(numbers) for name in ("price", "original_price")},
        reviews=draw(st.none() | st.integers(0, 10**12)),
        stock=draw(st.none() | st.integers(0, 10**12)),
        rating=draw(st.none() | st.floats(0.0, 5.0)),
    )


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(items(), min_size=1, max_size=4, unique_by=lambda item: item.item_id))
async def test_any_items_within_the_limits_are_archived_and_indexed(world: World, given_items: list[Item]) -> None:
    await world.archived(ITEMS, given_items)
    while await world.indexing.step():
        pass
    assert (world.letters(), world.refusals) == ([], [])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(NAMES, NAMES, NAMES, LINES, st.floats(0.0, 10.0)), min_size=1, max_size=6))
async def test_any_events_within_the_limits_are_archived(
    world: World, rows: list[tuple[str, str, str, str, float]]
) -> None:
    names = ("event_id", "user_id", "item_id", "query", "value")
    records = [dict(zip(names, row, strict=True)) for row in rows]
    events = [
        an_interaction(action="rate", **one | {"user_id": str(one["user_id"]).lstrip("~") or "x"}) for one in records
    ]
    await world.archived(INTERACTIONS, events)
    await world.logged(INTERACTIONS, events)
    assert world.letters() == []
