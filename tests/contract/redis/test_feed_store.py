"""One suite for every feed store and item store: what holds in memory holds in Redis."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from infra.redis.connection import StoreError, connect
from infra.redis.stores.feed_store import DEFAULT_FEED, KEY, FeedStore, MemoryFeedStore, RedisFeedStore
from infra.redis.stores.item_store import ItemStore, MemoryItemStore, RedisItemStore
from tests.build import T0_MS, a_feed, an_item

KINDS = ("memory", "redis")


@pytest.fixture(params=KINDS)
async def feeds(request: pytest.FixtureRequest, redis: Redis) -> AsyncIterator[FeedStore]:
    store: FeedStore = MemoryFeedStore() if request.param == "memory" else RedisFeedStore(redis)
    yield store
    await store.close()


@pytest.fixture(params=KINDS)
def items(request: pytest.FixtureRequest, redis: Redis) -> ItemStore:
    return MemoryItemStore() if request.param == "memory" else RedisItemStore(redis)


async def read_one(feeds: FeedStore, user_id: str = "u1") -> Any:
    [feed] = await feeds.read([user_id])
    return feed


async def test_feed_comes_back(feeds: FeedStore) -> None:
    feed = a_feed(propensities=[0.5, 0.25, 0.125], policy="thompson", arms={"homepage": "b"})
    assert await feeds.write([feed]) == 1
    stored_feed = await read_one(feeds)
    assert stored_feed.parts["trending"] == pytest.approx([0.9, 0.0, 0.1], abs=1e-3)
    assert stored_feed.parts["popular"] == pytest.approx([0.0, 0.5, 0.0], abs=1e-3)
    assert replace(stored_feed, parts={}) == replace(feed, parts={})


async def test_what_the_language_model_said_comes_back(feeds: FeedStore) -> None:
    feed = a_feed(parts={}, ml_scores=[1.0, 0.5, 0.0], llm_scores={"i3": 0.85, "i1": 0.0})
    await feeds.write([feed])
    assert await read_one(feeds) == feed


async def test_feeds_come_back_in_the_order_asked(feeds: FeedStore) -> None:
    await feeds.write([a_feed(user_id=f"user {number} ü") for number in range(120)])
    user_ids = ["user 7 ü", "missing", "user 119 ü", DEFAULT_FEED, "user 7 ü", "user 0 ü"]
    stored_feeds = await feeds.read(user_ids)
    assert [feed and feed.user_id for feed in stored_feeds] == [
        "user 7 ü",
        None,
        "user 119 ü",
        None,
        "user 7 ü",
        "user 0 ü",
    ]


async def test_no_feeds_are_written_and_read(feeds: FeedStore) -> None:
    assert await feeds.write([]) == 0
    assert await feeds.read([]) == []


@pytest.mark.parametrize(
    ("version", "generated_at", "replaces"),
    [
        (6, T0_MS, True),
        (5, T0_MS + 501, True),
        (5, T0_MS + 500, False),
        (5, T0_MS + 499, False),
        (4, T0_MS + 9_999, False),
        (10, 0, True),
        (2**62, 0, True),
    ],
)
async def test_feed_is_replaced_by_a_newer_one_only(
    feeds: FeedStore, version: int, generated_at: int, replaces: bool
) -> None:
    await feeds.write([a_feed()])
    other = a_feed(features_version=version, generated_at=generated_at, model="other")
    assert await feeds.write([other]) == int(replaces)
    assert (await read_one(feeds)).model == ("other" if replaces else "blend-1")


async def test_feeds_of_one_write_replace_each_other_in_order(feeds: FeedStore) -> None:
    assert await feeds.write([a_feed(features_version=version) for version in (3, 9, 7, 9)]) == 2
    assert (await read_one(feeds)).features_version == 9


async def test_writers_that_race_leave_the_newest(feeds: FeedStore) -> None:
    await asyncio.gather(*(feeds.write([a_feed(features_version=n * 7 % 50)]) for n in range(50)))
    assert (await read_one(feeds)).features_version == 49


async def test_empty_feed_comes_back(feeds: FeedStore) -> None:
    empty = a_feed(items=[], scores=[], sources=[], reasons=[], parts={"trending": []})
    await feeds.write([empty])
    assert await read_one(feeds) == empty


async def test_numbers_of_any_size_come_back(feeds: FeedStore) -> None:
    scores = [1e300, -1e300, 5e299]
    parts = {"large": [1e6, -1e6, 0.5], "huge": [1e300, 1.0, -2.0], "small": [1e-4, 2e-4, 0.0]}
    await feeds.write([a_feed(scores=scores, parts=parts)])
    stored_feed = await read_one(feeds)
    assert stored_feed.scores == scores
    assert stored_feed.parts["large"] == [1e6, -1e6, 0.5]
    assert stored_feed.parts["huge"] == [1e300, 1.0, -2.0]
    assert stored_feed.parts["small"] == pytest.approx([1e-4, 2e-4, 0.0], rel=1e-3)


async def test_scores_that_are_no_numbers_come_back(feeds: FeedStore) -> None:
    await feeds.write([a_feed(scores=[math.inf, 0.5, math.nan])])
    scores = (await read_one(feeds)).scores
    assert scores[:2] == [math.inf, 0.5]
    assert math.isnan(scores[2])


async def test_hundreds_of_reasons_come_back(feeds: FeedStore) -> None:
    count = 700
    reasons = [f"Because you liked {number}" for number in range(count)]
    feed = a_feed(
        items=[f"i{number}" for number in range(count)],
        scores=[1.0] * count,
        sources=["neighbors"] * count,
        reasons=reasons,
        parts={},
    )
    await feeds.write([feed])
    assert (await read_one(feeds)).reasons == reasons


async def test_listener_hears_of_its_users_newer_feeds(feeds: FeedStore) -> None:
    async with asyncio.timeout(10), feeds.listen("u1") as mine, feeds.listen("u2") as theirs:
        await heard(mine, feeds, a_feed())
        await feeds.write([a_feed(features_version=4)])  # older: nobody is told
        await heard(theirs, feeds, a_feed(user_id="u2"))  # in order, so what came before has been heard by now
        assert not mine.is_set()
        await heard(mine, feeds, a_feed(features_version=6))
        assert not theirs.is_set()


async def test_listeners_of_one_user_all_hear_and_leave_alone(feeds: FeedStore) -> None:
    async with asyncio.timeout(10), feeds.listen("u1") as stays:
        async with feeds.listen("u1") as leaves:
            await heard(leaves, feeds, a_feed())
            assert stays.is_set()
            stays.clear()
        await heard(stays, feeds, a_feed(features_version=6))


async def heard(event: asyncio.Event, feeds: FeedStore, feed: Any) -> None:
    """Write a feed and wait until its listener hears; written again as newer until its subscription holds."""
    for later in range(1000):
        newer = a_feed(
            user_id=feed.user_id, features_version=feed.features_version, generated_at=feed.generated_at + later
        )
        await feeds.write([newer])
        try:
            async with asyncio.timeout(0.2):
                await event.wait()
        except TimeoutError:
            continue
        event.clear()
        return


async def test_items_come_back_as_json(items: ItemStore) -> None:
    await items.write([an_item("i1"), an_item("i2"), an_item("i2", title="newer")])
    stored_items = await items.read(["i2", "missing", "i1"])
    assert [data and b'"title":"newer"' in data for data in stored_items] == [True, None, False]
    assert stored_items[2] is not None
    assert b'"item_id":"i1"' in stored_items[2]


async def test_items_that_are_deleted_are_gone(items: ItemStore) -> None:
    await items.write([an_item("i1"), an_item("i2")])
    await items.delete(["i1", "missing"])
    stored_items = await items.read(["i1", "i2"])
    assert stored_items[0] is None
    assert stored_items[1] is not None


async def test_no_items_are_written_deleted_and_read(items: ItemStore) -> None:
    await items.write([])
    await items.delete([])
    assert await items.read([]) == []


def a_full_feed(reasons: list[str]) -> Any:
    """Return a feed as long as they get: 50 items with ids of 10 characters and five parts each."""
    places = range(50)
    return a_feed(
        items=[f"video{10_000 + 977 * place % 90_000}" for place in places],
        scores=[1 / (1.1 + place) for place in places],
        sources=[("trending", "popular", "neighbors", "fresh")[place % 4] for place in places],
        reasons=[reasons[place % len(reasons)] for place in places],
        parts={
            name: [math.sin(place * number + 1) ** 2 for place in places]
            for number, name in enumerate(("trending", "popular", "neighbors", "affinity", "fresh"))
        },
    )


@pytest.mark.parametrize(
    "reasons",
    [
        ["Trending now", "Popular in music", "New in places"],
        [f"Because you liked {word} {word} {word} {word}" for word in ("Old", "Night", "Jazz", "Garden")],
        [f"Because you liked title number {number}" for number in range(50)],
    ],
    ids=["few", "titles", "one-each"],
)
async def test_feed_of_50_items_takes_2_kb_of_redis(redis: Redis, reasons: list[str]) -> None:
    await RedisFeedStore(redis).write([a_full_feed(reasons)])
    size_bytes = await redis.memory_usage(f"{KEY}u1", samples=0)
    assert size_bytes is not None
    assert size_bytes <= 2048


async def test_feed_lives_as_long_as_was_set(redis: Redis) -> None:
    await RedisFeedStore(redis, ttl_days=2).write([a_feed()])
    await RedisFeedStore(redis, ttl_days=0).write([a_feed(user_id="u2")])
    assert 86_400 < await redis.ttl(f"{KEY}u1") <= 2 * 86_400
    assert await redis.ttl(f"{KEY}u2") == -1


async def test_script_that_redis_forgot_is_loaded_again(redis: Redis) -> None:
    feeds = RedisFeedStore(redis)
    await feeds.write([a_feed()])
    await redis.script_flush()
    assert await feeds.write([a_feed(user_id=f"u{number}") for number in range(200)]) == 199  # u1 is there already


async def test_reads_of_one_tick_are_one_command(redis: Redis) -> None:
    feeds = RedisFeedStore(redis)
    await feeds.write([a_feed(user_id=f"u{number}") for number in range(40)])
    before = (await redis.info("commandstats"))["cmdstat_mget"]["calls"] if await redis.mget(["x"]) else 0
    entries = await asyncio.gather(*(feeds.read([f"u{number}", DEFAULT_FEED]) for number in range(40)))
    after = (await redis.info("commandstats"))["cmdstat_mget"]["calls"]
    assert after == before + 1
    assert [own.user_id for own, _ in entries if own] == [f"u{number}" for number in range(40)]


async def test_listener_hears_again_after_its_connection_was_cut(redis: Redis) -> None:
    feeds = RedisFeedStore(redis)
    async with asyncio.timeout(20), feeds.listen("u1") as change:
        await heard(change, feeds, a_feed())
        await redis.client_kill_filter(_type="pubsub")
        await heard(change, feeds, a_feed(features_version=6))
    await feeds.close()


async def test_store_that_is_away_says_so(redis: Redis, unused_tcp_port: int) -> None:
    unreachable_redis = connect(f"redis://127.0.0.1:{unused_tcp_port}/0")
    feeds, items = RedisFeedStore(unreachable_redis), RedisItemStore(unreachable_redis)
    for doing in (feeds.read(["u1"]), feeds.write([a_feed()]), items.read(["i1"]), items.write([an_item()])):
        with pytest.raises(StoreError):
            await doing
    await unreachable_redis.aclose()
