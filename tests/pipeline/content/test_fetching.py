"""One request, answered against real Redis and PostgreSQL and a double of Claude: every fault, and who answers then."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace as replaced
from typing import Any, NamedTuple

import asyncpg
import h3
import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from infra import clock
from infra.fakes.fake_claude import KEY, FakeClaude, Fault
from infra.fakes.memory_publisher import MemoryPublisher
from infra.llm.client import Llm
from infra.llm.client import connect as connect_llm
from infra.postgres.hybrid_search import HybridSearch
from infra.postgres.pool import open_pool
from infra.redis.stores.item_store import MemoryItemStore
from infra.redis.stores.prefetch_store import RedisPrefetchStore
from infra.settings import Settings, seconds_by_name
from models.text.subword import Subword
from schemas.types import Content, Item, LlmCall
from streams.core.triggers import prefetch_request
from streams.core.user.user_state import UserState
from streams.fetchers import FETCHERS
from streams.roles.archive import archive_role as archive
from streams.roles.archive.catalog_indexer import CatalogIndexer
from streams.roles.fetch.service import FetchService
from tests.build import LISBON, NEW_YORK, a_fetch_request, a_trigger, an_item
from tests.params import PREFETCH_PARAMS
from topics.topic import CONTENT, ITEMS

EVENTS = [
    an_item("big-band", category="events", title="Big Band Sunday", topics=["jazz"], cell=NEW_YORK, city="New York"),
    an_item("marathon", category="events", title="City Marathon", topics=["running"], cell=NEW_YORK, city="New York"),
    an_item("fado", category="events", title="Fado and Jazz", topics=["jazz"], cell=LISBON, city="Lisbon"),
    an_item("song", category="music", title="A Jazz Song", topics=["jazz"]),
]


class Place(NamedTuple):
    timestamp: int = 0
    topic: str = ITEMS.name
    partition: int = 0
    offset: int = 0


@pytest.fixture
async def pool(pool: asyncpg.Pool) -> asyncpg.Pool:
    """A database whose catalogue holds a few events."""
    await index(pool, EVENTS)
    return pool


async def index(pool: asyncpg.Pool, items: list[Item]) -> None:
    for item in items:
        await pool.execute(archive.upsert_items(), *archive.item_row(Place(), item))
    await CatalogIndexer(pool, Subword()).step()


class Rig:
    """A way from requests to content, and what came of it."""

    def __init__(self, claude: FakeClaude, redis: Redis, publisher: MemoryPublisher) -> None:
        self.claude, self.redis, self.publisher = claude, redis, publisher
        self.store = RedisPrefetchStore(redis)
        self.items = MemoryItemStore()
        self.calls: list[LlmCall] = []
        self.llm: Llm
        self.fetching: FetchService

    async def answer(self, **request: Any) -> Content:
        """Have a request answered and return the newest content."""
        await self.fetching.answer(a_fetch_request(**request), asked_at=clock.now_ms())
        content: Content = self.publisher.values_of(CONTENT)[-1]
        return content


@asynccontextmanager
async def a_rig(pool: asyncpg.Pool, redis: Redis, **value: Any) -> AsyncIterator[Rig]:
    claude = FakeClaude(slow_s=0.6)
    claude.retry_after_s = 0.0
    async with AsyncExitStack() as exits:
        url = await exits.enter_async_context(claude.serve())
        settings = replaced(
            Settings(
                llm_base_url=url, anthropic_api_key=KEY, llm_max_retries=1, llm_timeout_s=0.3, fetch_deadline_s=5.0
            ),
            **value,
        )
        rig = Rig(claude, redis, MemoryPublisher())
        rig.llm = await exits.enter_async_context(connect_llm(settings, redis, rig.calls.append))
        rig.fetching = FetchService(
            rig.llm,
            HybridSearch(pool, encoder="subwords", radius_km=settings.nearby_radius_km, hides_out_of_stock=True),
            rig.items,
            rig.store,
            rig.publisher,
            fetchers=FETCHERS,
            cached_s=seconds_by_name(settings.fetch_categories),
            encoder=Subword(),
            deadline_s=settings.fetch_deadline_s,
            now_ms=clock.now_ms,
        )
        yield rig


async def test_the_model_answers_with_new_items_which_are_cached(pool: asyncpg.Pool, redis: Redis) -> None:
    async with a_rig(pool, redis) as rig:
        content = await rig.answer(event_id="r1")
        new = {item.item_id: item for item in rig.publisher.values_of(ITEMS)}
        [answer] = await rig.store.read("u1")
    assert (content.source, content.fallback, content.request_id) == ("llm", "", "r1")
    assert [one.item_id for one in content.items] == list(new)
    assert {(item.city, item.private) for item in new.values()} == {("New York", True)}
    assert (answer.items, answer.place, answer.request_id) == (content.items, NEW_YORK, "r1")
    assert content.prompt_version == FETCHERS["events"].prompt_version
    assert content.prompt_hash == rig.calls[0].prompt_hash
    assert 0 < await redis.pttl(f"prefetch:u1:events:{NEW_YORK}") <= 3_600_000


TABLE: list[tuple[Fault, dict[str, Any], str, int]] = [
    ("slow", {}, "timeout", 2),
    ("rate_limited", {}, "rate_limited", 2),
    ("server_error", {}, "server_error", 2),
    ("overloaded", {}, "overloaded", 2),
    ("spent", {}, "no_key", 1),
    ("unauthorized", {}, "no_key", 1),
    ("garbage", {}, "malformed", 1),
    ("malformed", {}, "malformed", 1),
    ("cut", {}, "truncated", 1),
    ("empty", {}, "malformed", 1),
    ("paused", {}, "malformed", 3),
    ("refusal", {}, "refused", 1),
    ("slow", {"llm_budget_user_usd": 0.0}, "over_budget", 0),
    ("slow", {"anthropic_api_key": ""}, "no_key", 0),
]


@pytest.mark.parametrize(("fault", "fields", "reason", "requests"), TABLE, ids=[f"{row[0]}-{row[2]}" for row in TABLE])
async def test_whatever_the_model_does_the_catalogue_answers_and_says_why(
    pool: asyncpg.Pool, redis: Redis, fault: Fault, fields: dict[str, Any], reason: str, requests: int
) -> None:
    async with a_rig(pool, redis, **fields) as rig:
        rig.claude.permanent_fault = fault
        content = await rig.answer(words=["jazz"])
        [answer] = await rig.store.read("u1")
    assert (content.source, content.fallback) == ("catalogue", reason)
    assert [(item.item_id, item.reason) for item in content.items] == [
        *(("big-band", "You like jazz"), ("marathon", "Near you")),
    ]
    assert (answer.source, answer.fallback, answer.items) == ("catalogue", reason, content.items)
    assert len(rig.claude.requests) == sum(call.attempts for call in rig.calls) == requests
    assert [call.outcome for call in rig.calls] == [reason] * bool(requests)
    assert (rig.fetching.answer_counts, rig.llm.describe()["questions"]) == ({f"catalogue {reason}": 1}, {reason: 1})
    assert rig.publisher.values_of(ITEMS) == []


@pytest.mark.parametrize(("fault", "dropped_count", "item_count"), [("flawed", 1, 6), ("cut_short", 1, 5)])
async def test_what_is_usable_of_a_flawed_answer_becomes_items(
    pool: asyncpg.Pool, redis: Redis, fault: Fault, dropped_count: int, item_count: int
) -> None:
    async with a_rig(pool, redis) as rig:
        rig.claude.permanent_fault = fault
        content = await rig.answer()
        new = rig.publisher.values_of(ITEMS)
    assert (content.source, content.fallback, len(content.items)) == ("llm", "", item_count)
    assert [item.attributes["year"] for item in new] == [str(1950 + len(item.title.split(",")[0])) for item in new]
    [call] = rig.calls
    assert (call.outcome, call.dropped, len(call.problems)) == ("answered", dropped_count, dropped_count)


async def test_after_failures_in_a_row_the_model_is_left_alone(pool: asyncpg.Pool, redis: Redis) -> None:
    async with a_rig(pool, redis, llm_breaker_failures=2) as rig:
        rig.claude.permanent_fault = "server_error"
        reasons = [(await rig.answer(about=f'{{"where":"{n}"}}')).fallback for n in range(4)]
    assert reasons == ["server_error", "server_error", "open_circuit", "open_circuit"]
    assert len(rig.claude.requests) == 4


async def test_a_request_is_answered_once_and_its_question_asked_once(pool: asyncpg.Pool, redis: Redis) -> None:
    async with a_rig(pool, redis) as rig:
        await rig.answer(event_id="r1")
        await rig.answer(event_id="r1")
        again = await rig.answer(event_id="r2")
    assert [content.request_id for content in rig.publisher.values_of(CONTENT)] == ["r1", "r2"]
    assert again.source == "llm"
    assert len(rig.claude.requests) == 1


async def test_a_request_that_kills_its_worker_is_not_asked_for_ever(pool: asyncpg.Pool, redis: Redis) -> None:
    async with a_rig(pool, redis) as rig:
        for _ in range(2):  # begun, and never answered
            await rig.store.count_attempt("r1")
        content = await rig.answer(event_id="r1")
    assert (content.source, content.fallback) == ("catalogue", "cut_off")
    assert rig.claude.requests == []


async def test_what_comes_too_late_is_only_noted(pool: asyncpg.Pool, redis: Redis) -> None:
    async with a_rig(pool, redis) as rig:
        await rig.fetching.answer(a_fetch_request(), asked_at=clock.now_ms() - 6_000)
        await rig.fetching.answer(a_fetch_request(category="podcasts"), asked_at=clock.now_ms())
    outcomes = [(content.source, content.fallback, content.items) for content in rig.publisher.values_of(CONTENT)]
    assert outcomes == [("none", "late", []), ("none", "off", [])]
    assert (rig.claude.requests, await rig.store.read("u1")) == ([], [])


async def test_without_permission_for_locations_no_places_are_requested(pool: asyncpg.Pool, redis: Redis) -> None:
    async with a_rig(pool, redis) as rig:
        content = await rig.answer(about='{"interests":["jazz"]}')
    assert (content.source, content.fallback, rig.claude.requests) == ("catalogue", "withheld", [])


async def test_what_the_catalogue_has_under_another_spelling_is_recognised(pool: asyncpg.Pool, redis: Redis) -> None:
    catalogue_items = [
        an_item("ours", category="events", title="JAZZ at the Ferry House, New York!", cell=NEW_YORK),
        an_item("theirs", category="events", title="Midnight Big Band, New York", cell=LISBON, city="Lisbon"),
    ]
    await index(pool, catalogue_items)
    async with a_rig(pool, redis) as rig:
        content = await rig.answer()
        new = [item.title for item in rig.publisher.values_of(ITEMS)]
    assert content.items[0].item_id == "ours"
    assert "theirs" not in [one.item_id for one in content.items]
    assert "Midnight Big Band, New York" in new
    assert len(new) == len(content.items) - 1


async def test_an_item_that_is_there_stays_as_it_is(pool: asyncpg.Pool, redis: Redis) -> None:
    async with a_rig(pool, redis) as rig:
        await rig.answer(user_id="u1")
        first, *_ = mine = rig.publisher.values_of(ITEMS)
        await rig.items.write([*mine[1:], replace(first, title="As the catalogue has it", private=False)])
        content = await rig.answer(user_id="u2")
    assert [one.item_id for one in content.items] == [item.item_id for item in mine]
    assert rig.publisher.values_of(ITEMS) == mine, "neither published anew nor made private again"


async def test_coordinates_are_neither_asked_with_nor_answered_with(pool: asyncpg.Pool, redis: Redis) -> None:
    place = prefetch_request.content_location(
        UserState("u1", cell=str(h3.latlng_to_cell(59.3, 18.0, 7)), city="Berlin"),
        replaced(PREFETCH_PARAMS, prompt_fields=frozenset(("where", "interests"))),
    )
    trigger = a_trigger(kind="location", occurred_at=clock.now_ms())
    async with a_rig(pool, redis) as rig:
        for request in prefetch_request.build_fetch_requests(
            trigger,
            UserState("u1", preferred=["jazz"]),
            place,
            FETCHERS.values(),
            title_of=lambda item: item,
            params=replaced(PREFETCH_PARAMS, prompt_fields=frozenset(("where", "interests"))),
        ):
            await rig.fetching.answer(request, asked_at=clock.now_ms())
    texts = [item.title + item.description for item in rig.publisher.values_of(ITEMS)]
    requests = [str(request) for request in rig.claude.requests]
    assert [text for text in (*texts, *requests) if re.search(r"latitude|longitude|59\.3|18\.0", text)] == []
    assert {item.city for item in rig.publisher.values_of(ITEMS)} == {"Stockholm", None}


async def test_what_the_user_knows_is_not_offered_again(pool: asyncpg.Pool, redis: Redis) -> None:
    async with a_rig(pool, redis, anthropic_api_key="") as rig:
        content = await rig.answer(known=["big-band"])
    assert [item.item_id for item in content.items] == ["marathon"]


async def test_nothing_found_is_remembered_for_a_short_while(pool: asyncpg.Pool, redis: Redis) -> None:
    async with a_rig(pool, redis, anthropic_api_key="") as rig:
        content = await rig.answer(category="workshops")
    assert (content.source, content.items) == ("catalogue", [])
    assert 0 < await redis.pttl(f"prefetch:u1:workshops:{NEW_YORK}") <= 60_000


async def test_without_the_catalogue_the_model_still_answers(redis: Redis) -> None:
    away = await open_pool("postgresql://nobody@127.0.0.1:1/none", ready=0)
    async with a_rig(away, redis, fetch_deadline_s=0.6) as rig:
        content = await rig.answer()
        rig.claude.permanent_fault = "server_error"
        nothing = await rig.answer(about='{"where":"Lisbon"}')
    assert (content.source, len(content.items)) == ("llm", 6)
    assert (nothing.source, nothing.fallback) == ("none", "catalogue_away")
