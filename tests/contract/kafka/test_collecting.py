"""Collecting from a double of the external API: paging, errors, duplicates, and going on after an interruption."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from infra.fakes.fake_socialverse import FakeSocialverse, Fault
from infra.fakes.memory_publisher import MemoryPublisher
from infra.kafka.publisher import PublishError
from infra.redis.connection import StoreError, connect
from infra.redis.stores.collection_store import Collection, CollectionStore, MemoryCollectionStore, RedisCollectionStore
from infra.settings import Settings
from infra.socialverse import CollectError, Socialverse
from streams.roles.collect.collector import Collector
from tests.build import T0_MS
from topics.topic import DEAD_LETTERS, INTERACTIONS, ITEMS

TOKEN = "secret"
VIEWED = "viewed-posts"


@pytest.fixture(params=("memory", "redis"))
def store(request: pytest.FixtureRequest, redis: Redis) -> CollectionStore:
    return MemoryCollectionStore() if request.param == "memory" else RedisCollectionStore(redis)


class Rig:
    """A collector of the double's lists, two records to a page."""

    def __init__(self, api: FakeSocialverse, pages: Socialverse) -> None:
        self.api, self.pages = api, pages
        self.publisher, self.store = MemoryPublisher(), MemoryCollectionStore()
        self.page_numbers: list[int] = []

    async def collect(self, name: str = VIEWED, *, request_id: str = "r1", **options: Any) -> Collection:
        collecting = Collector(
            self.pages,
            self.publisher,
            self.store,
            now_ms=lambda: T0_MS,
            rating_scale=5.0,
            on_page=lambda one: self.page_numbers.append(one.page),
        )
        return await collecting.collect(name, request_id=request_id, **({"page_size": 2} | options))

    def events(self) -> list[str]:
        return [event.event_id for event in self.publisher.values_of(INTERACTIONS)]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    api = FakeSocialverse(token=TOKEN, slow_s=1.0)
    api.retry_after = "0"
    async with api.serve() as url:
        settings = Settings(
            api_base_url=url,
            flic_token=TOKEN,
            collect_requests_per_s=1_000.0,
            collect_timeout_s=0.5,
            collect_query="resonance_algorithm=x",
        )
        pages = Socialverse(settings, pause_s=0.001)
        yield Rig(api, pages)
        await pages.close()


def viewed(number: int, **overrides: Any) -> dict[str, Any]:
    """Return a record of a view."""
    return {"id": number, "post_id": 100 + number, "user_id": 7, "viewed_at": "2023-01-15 10:30:45"} | overrides


async def test_a_list_is_collected_to_its_end_page_by_page(rig: Rig) -> None:
    rig.api.lists[VIEWED] = [viewed(n) for n in range(1, 6)]
    rig.api.lists["all-users"] = [{"id": 7, "username": "kim", "email": "kim@example.com"}]
    result = await rig.collect()
    assert rig.events() == [f"viewed-posts-{n}" for n in range(1, 6)]
    first = rig.publisher.values_of(INTERACTIONS)[0]
    assert (first.user_id, first.item_id, first.action) == ("kim", "post-101", "view")
    assert first.occurred_at == 1_673_778_645_000
    assert (result.state, result.page, result.records, result.published) == ("done", 4, 5, 5)
    assert [page for name, page in rig.api.requests if name == VIEWED] == [1, 2, 3, 4]
    assert (await rig.store.read())[VIEWED] == result
    assert b"example.com" not in msgspec.json.encode(rig.publisher.records_by_topic)


async def test_what_users_did_says_how(rig: Rig) -> None:
    rig.api.lists["liked-posts"] = [viewed(1, liked_at=1_673_778_645)]
    rig.api.lists["inspired-posts"] = [viewed(1, inspired_at=1_673_778_645_000)]
    rig.api.lists["rated-posts"] = [viewed(1, rated_at="2023-01-15T10:30:45Z", rating_percent=80)]
    for name in ("liked-posts", "inspired-posts", "rated-posts"):
        await rig.collect(name)
    events = rig.publisher.values_of(INTERACTIONS)
    assert [(event.action, event.value, event.user_id) for event in events] == [
        ("like", None, "user-7"),
        ("inspired", None, "user-7"),
        ("rate", 4.0, "user-7"),
    ]
    assert {event.occurred_at for event in events} == {1_673_778_645_000}


async def test_posts_become_items_that_are_clean(rig: Rig) -> None:
    rig.api.lists["all-posts"] = [
        {
            "id": 5,
            "title": "  Rise\nand shine ",
            "username": "maker",
            "category": {"id": 1, "name": "Motivation"},
            "topic": {"name": "Morning", "project_code": "flic"},
            "tags": ["success", "", "success"],
            "video_link": "https://v.example/5.mp4",
            "thumbnail_url": "javascript:alert(1)",
            "created_at": 1_673_778_645_000,
        },
        {"id": 6, "category": None, "created_at": "1673778645"},
    ]
    await rig.collect("all-posts")
    first, second = rig.publisher.values_of(ITEMS)
    assert (first.item_id, first.kind, first.category, first.title) == (
        "post-5",
        "video",
        "Motivation",
        "Rise and shine",
    )
    assert (first.topics, first.source) == (["success", "Morning"], "maker")
    assert (first.url, first.image_url, first.attributes) == ("https://v.example/5.mp4", None, {"project_code": "flic"})
    assert (second.title, second.category, second.created_at) == ("Post 6", "video", 1_673_778_645_000)


async def test_records_that_come_again_are_published_once(rig: Rig) -> None:
    rig.api.lists[VIEWED] = [viewed(1), viewed(2), viewed(2), viewed(3), viewed(1)]
    first = await rig.collect()
    again = await rig.collect(request_id="r2")
    assert rig.events() == ["viewed-posts-1", "viewed-posts-2", "viewed-posts-3"]
    assert (first.published, again.published, again.repeated) == (3, 0, 5)


async def test_what_is_no_record_becomes_a_dead_letter_and_the_rest_goes_on(rig: Rig) -> None:
    bad = [{"id": 1}, "text", viewed(2, viewed_at=None), viewed(3, viewed_at="2999-01-01"), viewed(4, post_id="x")]
    rig.api.lists[VIEWED] = [*bad, viewed(5)]
    result = await rig.collect()
    assert (rig.events(), result.bad, result.published) == (["viewed-posts-5"], 5, 1)
    letters = rig.publisher.values_of(DEAD_LETTERS)
    assert {letter.reason for letter in letters} == {"bad_record", "out_of_range"}
    assert {letter.topic for letter in letters} == {"collect.viewed-posts"}
    assert sorted(msgspec.json.decode(letter.value) == "text" for letter in letters)[-1]
    await rig.collect(request_id="r2")
    assert len({letter.letter_id for letter in rig.publisher.values_of(DEAD_LETTERS)}) == 5


@pytest.mark.parametrize("fault", ["busy", "broken", "garbage", "cut", "slow"])
async def test_what_fails_once_is_asked_again(rig: Rig, fault: Fault) -> None:
    rig.api.lists["all-posts"] = [{"id": 1, "created_at": 1}]
    rig.api.faults.append(fault)
    result = await rig.collect("all-posts")
    assert (result.state, result.published) == ("done", 1)
    assert rig.api.requests[:2] == [("all-posts", 1)] * 2


async def test_what_fails_again_and_again_or_is_refused_ends_with_why(rig: Rig) -> None:
    rig.api.lists["all-posts"] = [{"id": n, "created_at": 1} for n in range(4)]
    rig.api.faults.extend([None, *["broken"] * 5])
    failure = await rig.collect("all-posts")
    assert (failure.state, failure.page, failure.published) == ("failed", 2, 2)
    assert "status 500, 5 times" in failure.error
    rig.api.faults.append("refused")
    request_count = len(rig.api.requests)
    refusal = await rig.collect("all-posts", request_id="r2", page=failure.page)
    assert (refusal.state, refusal.error, len(rig.api.requests)) == (
        "failed",
        "all-posts, page 2: status 403",
        request_count + 1,
    )
    assert (await rig.collect("all-posts", request_id="r3", page=2)).published == 2


async def test_a_token_that_is_not_accepted_is_reported(rig: Rig) -> None:
    rig.api.token = "another"
    assert "status 401" in (await rig.collect("all-posts")).error


async def test_an_interrupted_collection_goes_on_with_the_page_it_was_at(rig: Rig) -> None:
    rig.api.lists["all-posts"] = [{"id": n, "created_at": 1} for n in range(6)]

    def fail_at_the_second(state: Collection) -> None:
        rig.publisher.is_unavailable = state.page == 2

    collecting = Collector(
        rig.pages, rig.publisher, rig.store, now_ms=lambda: T0_MS, rating_scale=5.0, on_page=fail_at_the_second
    )
    with pytest.raises(PublishError):
        await collecting.collect("all-posts", request_id="r1", page_size=2)
    assert ((await rig.store.read())["all-posts"].state, rig.page_numbers) == ("running", [])
    rig.publisher.is_unavailable, rig.api.requests[:] = False, []
    result = await rig.collect("all-posts")
    assert [page for _, page in rig.api.requests] == [2, 3, 4]
    assert (result.state, result.published) == ("done", 6)
    assert [item.item_id for item in rig.publisher.values_of(ITEMS)] == [f"post-{n}" for n in range(6)]
    assert await rig.collect("all-posts") == result
    assert len(rig.api.requests) == 3, "a request that was answered is not done again"


async def test_a_list_that_gives_its_last_page_for_ever_ends(rig: Rig) -> None:
    rig.api.repeats_last = True
    rig.api.lists["all-posts"] = [{"id": n, "created_at": 1} for n in range(3)]
    assert (await rig.collect("all-posts")).published == 3


async def test_pages_smaller_than_asked_for_are_not_the_end(rig: Rig) -> None:
    rig.api.most = 1
    rig.api.lists["all-posts"] = [{"id": n, "created_at": 1} for n in range(3)]
    assert (await rig.collect("all-posts", page_size=1_000)).published == 3


async def test_requests_are_no_closer_than_is_allowed() -> None:
    pauses_s: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses_s.append(seconds)

    async with FakeSocialverse().serve() as url:
        settings = Settings(api_base_url=url, collect_requests_per_s=20.0)
        pages = Socialverse(settings, clock_s=lambda: 0.0, sleep=sleep)
        for page in range(4):
            await pages.page("all-posts", page + 1, 10)
        await pages.close()
    assert pauses_s == pytest.approx([1 / 20, 2 / 20, 3 / 20])


async def test_a_pause_that_is_asked_for_is_kept() -> None:
    pauses_s: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses_s.append(seconds)

    api = FakeSocialverse()
    api.retry_after = "7"
    api.faults.extend(["busy", "broken", "broken"])
    async with api.serve() as url:
        pages = Socialverse(Settings(api_base_url=url, collect_requests_per_s=1e9), sleep=sleep)
        await pages.page("all-posts", 1, 10)
        await pages.close()
    assert [seconds for seconds in pauses_s if seconds > 0.1] == [7.0, 2.0, 4.0]


async def test_an_address_where_nobody_is_ends_with_why() -> None:
    pages = Socialverse(Settings(api_base_url="http://127.0.0.1:1", collect_requests_per_s=1_000.0), pause_s=0.001)
    with pytest.raises(CollectError, match="ConnectError"):
        await pages.page("all-posts", 1, 10)
    await pages.close()


async def test_how_far_collections_are_is_kept(store: CollectionStore) -> None:
    running = Collection(name=VIEWED, state="running", page=3)
    await store.write(running)
    entries = await store.read()
    assert (entries[VIEWED], entries["all-posts"].state, len(entries)) == (running, "never", 6)
    await store.mark_published(VIEWED, ["1", "2"])
    await store.mark_published(VIEWED, [])
    assert await store.are_new(VIEWED, ["2", "3"]) == [False, True]
    assert await store.are_new("liked-posts", ["2"]) == [True]
    assert await store.are_new(VIEWED, []) == []
    await store.write_usernames({"7": "kim"})
    await store.write_usernames({})
    assert await store.usernames(["7", "8"]) == ["kim", None]
    assert await store.usernames([]) == []


async def test_an_unavailable_store_is_reported() -> None:
    away = connect("redis://127.0.0.1:1/0", timeout_s=0.2)
    with pytest.raises(StoreError):
        await RedisCollectionStore(away).read()
    await away.aclose()
