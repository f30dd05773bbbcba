"""One suite for every prefetch store: what holds in memory holds in Redis."""

from typing import Any

import pytest
from redis.asyncio import Redis

from infra import clock
from infra.redis.connection import StoreError, connect
from infra.redis.stores.prefetch_store import (
    MemoryPrefetchStore,
    Prefetched,
    PrefetchQuestion,
    PrefetchSlot,
    PrefetchStore,
    RedisPrefetchStore,
)
from schemas.types import FoundItem
from tests.build import LISBON, NEW_YORK

MUSIC, HERE, THERE = (
    PrefetchSlot("u1", "music"),
    PrefetchSlot("u1", "places", NEW_YORK),
    PrefetchSlot("u1", "places", LISBON),
)
SOON_S = 60.0


@pytest.fixture(params=("memory", "redis"))
def store(request: pytest.FixtureRequest, redis: Redis) -> PrefetchStore:
    return MemoryPrefetchStore() if request.param == "memory" else RedisPrefetchStore(redis)


def found(slot: PrefetchSlot = MUSIC, *, left_s: float = 60.0, **overrides: Any) -> Prefetched:
    now_ms = clock.now_ms()
    fields: dict[str, Any] = {
        **{"request_id": "r1", "category": slot.category, "place": slot.place, "source": "llm"},
        **{"items": [FoundItem(item_id="i1", reason="You like jazz")], "fetched_at": now_ms},
        **{"expires_at": now_ms + round(left_s * 1_000)},
    }
    return Prefetched(**(fields | overrides))


async def test_an_answer_comes_back_and_is_wanted_no_more(store: PrefetchStore) -> None:
    assert await store.are_missing([MUSIC, HERE]) == [True, True]
    answer = found()
    await store.write("u1", answer)
    assert await store.read("u1") == [answer]
    assert await store.are_missing([MUSIC, HERE]) == [False, True]


async def test_an_answer_is_gone_when_it_has_expired(store: PrefetchStore) -> None:
    await store.write("u1", found(left_s=-0.001))
    assert await store.read("u1") == []
    assert await store.are_missing([MUSIC]) == [True]


async def test_who_has_moved_is_not_answered_with_the_old_place(store: PrefetchStore) -> None:
    await store.write("u1", found(HERE))
    assert await store.are_missing([HERE, THERE]) == [False, True]
    await store.write("u1", found(THERE))
    assert [one.place for one in await store.read("u1")] == sorted([NEW_YORK, LISBON])


async def test_what_is_asked_is_not_wanted_until_it_is_given_up(store: PrefetchStore) -> None:
    await store.mark_pending([MUSIC], deadline_s=SOON_S)
    await store.mark_pending([HERE], deadline_s=0.001)
    while not (await store.are_missing([HERE]))[0]:
        pass
    assert await store.are_missing([MUSIC, PrefetchSlot("u2", "music")]) == [False, True]


async def test_an_answer_that_has_expired_is_wanted_though_it_was_asked_before(store: PrefetchStore) -> None:
    await store.mark_pending([MUSIC], deadline_s=SOON_S)
    await store.write("u1", found(left_s=-0.001))
    assert await store.are_missing([MUSIC]) == [True]


async def test_a_user_is_cleared_and_nobody_else(store: PrefetchStore) -> None:
    await store.write("u1", found())
    await store.write("u2", found())
    await store.mark_pending([HERE], deadline_s=SOON_S)
    assert await store.clear("u1") == 2
    assert await store.clear("u1") == 0
    assert await store.are_missing([MUSIC, HERE]) == [True, True]
    assert (await store.read("u1"), len(await store.read("u2"))) == ([], 1)


async def test_a_user_id_is_taken_as_it_is(store: PrefetchStore) -> None:
    for user_id in ("u1:music", "*", "ü 1", "u1"):
        await store.write(user_id, found(request_id=user_id))
    await store.clear("*")
    assert [one.request_id for one in await store.read("u1:music")] == ["u1:music"]
    assert len(await store.read("u1")) == 1


async def test_attempts_are_counted_until_there_is_an_answer(store: PrefetchStore) -> None:
    assert [await store.count_attempt("r1") for _ in range(3)] == [1, 2, 3]
    assert await store.count_attempt("r2") == 1
    await store.write("u1", found(request_id="r1"))
    assert (await store.count_attempt("r1"), await store.count_attempt("r2")) == (0, 2)


async def test_questions_come_back(store: PrefetchStore) -> None:
    questions = [PrefetchQuestion(category="music", prompt_version="music/1-ab", system="…", user="{}")]
    await store.write_questions({"u1": questions, "u2": []})
    assert await store.read_questions("u1") == questions
    assert await store.read_questions("u3") == []


async def test_nothing_is_asked_of_no_slots(store: PrefetchStore) -> None:
    assert await store.are_missing([]) == []
    await store.mark_pending([], deadline_s=SOON_S)
    await store.write_questions({})


async def test_keys_are_the_documented_ones(redis: Redis) -> None:
    store = RedisPrefetchStore(redis)
    await store.write("u1", found())
    await store.write("u1", found(HERE, left_s=3_600))
    assert 0 < await redis.pttl("prefetch:u1:music") <= 60_000
    assert 60_000 < await redis.pttl(f"prefetch:u1:places:{NEW_YORK}") <= 3_600_000


async def test_a_redis_that_is_away_is_a_store_error() -> None:
    away = connect("redis://127.0.0.1:1/0", timeout_s=0.2)
    store = RedisPrefetchStore(away)
    for call in (store.are_missing([MUSIC]), store.read("u1"), store.count_attempt("r1"), store.write("u1", found())):
        with pytest.raises(StoreError):
            await call
    await away.aclose()
