"""Erasures in Redis: the store of receipts, and the keys of a user, of which none is left and nobody else's goes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from infra.erasure.erasure_store import ErasureStore, MemoryErasureStore, RedisErasureStore, StoredErasure
from infra.redis.connection import StoreError, connect
from infra.redis.stores.collection_store import RedisCollectionStore
from infra.redis.stores.feed_store import RedisFeedStore
from infra.redis.stores.interaction_log import RedisInteractionLog
from infra.redis.stores.llm_score_store import LlmScoreStore
from infra.redis.stores.page_store import PageEntry, PageSession, RedisPageStore
from infra.redis.stores.prefetch_store import Prefetched, PrefetchQuestion, PrefetchSlot, RedisPrefetchStore
from infra.redis.stores.push_store import RedisPushStore
from infra.redis.stores.shop_store import RedisShopStore, StoredHome
from infra.redis.stores.user_profile_store import RedisUserProfileStore
from infra.redis.user_keys import KEYS, PREFETCHED, erase_keys, read_keys
from schemas.types import Devices, PushPreferences
from tests.build import a_feed, a_notification, a_profile, an_interaction, features, llm_scores

NOW_MS = 4_000_000_000_000
CELL = "872a1072bffffff"
ERASURE = StoredErasure(user_hash="h1", request_id="r1", requested_at=5, partition=3, offset=7)


@pytest.fixture(params=("memory", "redis"))
def erasures(request: pytest.FixtureRequest, redis: Redis) -> ErasureStore:
    return MemoryErasureStore() if request.param == "memory" else RedisErasureStore(redis)


async def test_an_erasure_comes_back_with_the_counts_of_all_roles(erasures: ErasureStore) -> None:
    assert await erasures.read("h1") is None
    await erasures.add("r1", "feed", {"a": 1, "b": 0})  # a role may be faster than the API
    await erasures.write(ERASURE)
    await erasures.add("r1", "log", {"c": 2})
    await erasures.add("r1", "log", {"c": 0})
    assert await erasures.read("h1") == (ERASURE, {"a": 1, "b": 0, "c": 2})
    assert [await erasures.has_counts("r1", role) for role in ("feed", "push")] == [True, False]


async def test_the_newest_erasure_holds_and_its_completion_stays(erasures: ErasureStore) -> None:
    await erasures.write(ERASURE)
    await erasures.add("r1", "feed", {"a": 1})
    assert [await erasures.complete("r1", at_ms) for at_ms in (10, 11)] == [10, 10]
    newer = msgspec.structs.replace(ERASURE, request_id="r2")
    await erasures.write(newer)
    assert await erasures.read("h1") == (newer, {})


async def test_no_erasure_is_taken_while_redis_is_away() -> None:
    erasures = RedisErasureStore(connect("redis://127.0.0.1:1/0", timeout_s=0.2))
    with pytest.raises(StoreError):
        await erasures.write(ERASURE)


async def fill(redis: Redis, user_id: str) -> None:
    """Write a user to all stores."""
    await RedisFeedStore(redis).write([a_feed(user_id=user_id)])
    interactions = RedisInteractionLog(redis, clock_s=lambda: NOW_MS / 1_000)
    await interactions.write([an_interaction(user_id=user_id, occurred_at=NOW_MS)])
    await interactions.write_offset(user_id, 7)
    profiles = RedisUserProfileStore(redis)
    await profiles.write_inferred([features(user_id=user_id, cell=CELL)])
    await profiles.write_stated([a_profile(user_id=user_id)])
    pages = PageSession(listing="feed", cursor="c", entries=[PageEntry("i1")])
    for owner in ("user", "caller"):
        await RedisPageStore(redis).write(f"{owner}:{user_id}", pages)
    pushes = RedisPushStore(redis)
    await pushes.write_devices([Devices(user_id=user_id, devices=[], preferences=PushPreferences(), changed_at=1)])
    await pushes.add_notifications([a_notification(user_id=user_id)])
    home = StoredHome(user_id=user_id, personalized=["i1"], stale_at=NOW_MS)
    await RedisShopStore(redis).write([home])
    await LlmScoreStore(redis, ttl_s=60.0).write(llm_scores({"i1": 0.5}, user_id=user_id))
    prefetch_store = RedisPrefetchStore(redis)
    await prefetch_store.mark_pending([PrefetchSlot(user_id, "places", CELL)], deadline_s=60.0)
    answer = Prefetched(
        request_id=f"r-{len(user_id)}", category="music", source="catalogue", items=[], fetched_at=1, expires_at=NOW_MS
    )
    await prefetch_store.write(user_id, answer)
    question = PrefetchQuestion(category="music", prompt_version="1", system="s", user="u")
    await prefetch_store.write_questions({user_id: [question]})
    await RedisCollectionStore(redis).write_usernames({f"number of {user_id}": user_id})


async def content(redis: Redis) -> dict[bytes, Any]:
    """Return all keys with their contents."""
    return {key: await redis.dump(key) async for key in redis.scan_iter()}


async def test_no_key_of_an_erased_user_is_left_and_the_others_are_untouched(redis: Redis) -> None:
    await fill(redis, "alexandra")
    await fill(redis, "al")
    others = await content(redis)
    await fill(redis, "alex")
    names = {name for keys in KEYS.values() for name in keys} | {PREFETCHED}
    export = await read_keys(redis, "alex")
    assert set(export) == names
    assert export["location"] == CELL
    msgspec.json.encode(export)
    counts: dict[str, int] = {}
    for role in ("feed", "log", "push", "shop", "archive"):
        counts |= await erase_keys(redis, "alex", role=role)
    assert all(counts.values()), counts
    assert await read_keys(redis, "alex") == {}
    rest = await content(redis)
    assert {key: value for key, value in rest.items() if key != b"fetch:answered:r-4"} == others
    assert [await erase_keys(redis, "alex", role=role) for role in ("archive", "trainer")] == [{}, {}]
