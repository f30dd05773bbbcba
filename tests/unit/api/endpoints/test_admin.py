"""The admin's endpoints: nothing without the token, the cache and the prompts with it."""

from typing import Any

import pytest
from msgspec.structs import replace

from domain.timestamp import iso_time
from infra.postgres.feed_history import MemoryFeedHistory
from infra.redis import event_rates
from infra.redis.connection import StoreError
from infra.redis.stores.feed_codec import version
from infra.redis.stores.prefetch_store import MemoryPrefetchStore, Prefetched, PrefetchQuestion
from schemas.types import FeedOrder, FoundItem
from tests.build import T0_MS, a_feed, an_item
from tests.unit.api.builder import NOW_MS, World

TOKEN = {"Authorization": "Bearer sesame"}
PATHS = [
    ("GET", "/prompts/ann"),
    ("GET", "/admin/cache/view/ann"),
    ("POST", "/admin/cache/clear/ann"),
    ("GET", "/admin/event-rates"),
    ("GET", "/admin/feeds/ann?at=2023-11-14T22:13:20Z"),
]


def a_world() -> World:
    store = MemoryPrefetchStore(clock_s=lambda: NOW_MS / 1_000)
    return World(clients={"prefetch_store": store})


def some_music() -> Prefetched:
    return Prefetched(
        request_id="r1",
        category="music",
        source="catalogue",
        fallback="no_key",
        items=[FoundItem(item_id="i1", reason="You like jazz")],
        fetched_at=NOW_MS,
        expires_at=NOW_MS + 1_800_000,
    )


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "sesame"}, {"Authorization": "Basic sesame"}],
)
async def test_admin_endpoints_refuse_who_has_no_token(method: str, path: str, headers: dict[str, str]) -> None:
    async with a_world().http(admin_token="sesame") as client:
        response = await client.request(method, path, headers=headers)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (401, "unauthorized")
    assert "ADMIN_TOKEN" in error["message"]
    assert "scope admin" in error["message"]
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("text", ["", "sesame"])
async def test_admin_endpoints_answer_nobody_where_no_token_is_set(method: str, path: str, text: str) -> None:
    async with a_world().http() as client:
        response = await client.request(method, path, headers={"Authorization": f"Bearer {text}"})
    assert response.status_code == 401


async def test_a_feed_of_the_past_is_shown_in_the_order_of_that_time() -> None:
    history = MemoryFeedHistory()
    old = a_feed(user_id="ann", orders=[FeedOrder(from_ms=60_000, indices=[2, 0, 1])])
    history.feeds = [
        old,
        a_feed(user_id="ann", features_version=6, generated_at=T0_MS + 90_000, items=["i7", "i8", "i9"]),
    ]
    answers: dict[int, Any] = {}
    async with World(clients={"feed_history": history}).http(admin_token="sesame") as client:
        for after_ms in (0, 500, 60_000, 90_000):
            path = f"/admin/feeds/ann?at={iso_time(T0_MS + after_ms)}"
            answers[after_ms] = (await client.get(path, headers=TOKEN)).json()
        vague = await client.get("/admin/feeds/ann?at=2023-11-14T22:13:20", headers=TOKEN)
    assert answers[0]["error"]["code"] == "no_past_feed"
    items = {after_ms: [item["item_id"] for item in answers[after_ms]["items"]] for after_ms in (500, 60_000, 90_000)}
    assert items == {500: ["i1", "i2", "i3"], 60_000: ["i3", "i1", "i2"], 90_000: ["i7", "i8", "i9"]}
    first = answers[60_000]["items"][0]
    assert (first["position"], first["score"], first["reason"]) == (1, 0.1, "Trending now")
    assert (answers[60_000]["version"], answers[60_000]["model"]) == (version(old), "blend-1")
    assert (vague.status_code, vague.json()["error"]["field"]) == (422, "at")


async def test_the_cache_is_shown_and_cleared() -> None:
    world = a_world()
    await world.clients["prefetch_store"].write("ann", some_music())
    async with world.http(admin_token="sesame") as client:
        body = (await client.get("/admin/cache/view/ann", headers=TOKEN)).json()
        answer = (await client.post("/admin/cache/clear/ann", headers=TOKEN)).json()
        empty = (await client.get("/admin/cache/view/ann", headers=TOKEN)).json()
    [entry] = body["entries"]
    assert (entry["category"], entry["source"], entry["fallback"]) == ("music", "catalogue", "no_key")
    assert entry["items"] == [{"item_id": "i1", "reason": "You like jazz"}]
    assert entry["left_s"] == 1_800
    assert answer == {"user_id": "ann", "cleared": 1}
    assert empty["entries"] == []


async def test_prompts_show_what_would_be_asked() -> None:
    world = a_world()
    question = PrefetchQuestion(
        category="music", prompt_version="music/1-ab", system="You choose", user='{"when":"now"}'
    )
    await world.clients["prefetch_store"].write_questions({"ann": [question]})
    async with world.http(admin_token="sesame") as client:
        body = (await client.get("/prompts/ann", headers=TOKEN)).json()
        missing = await client.get("/prompts/bob", headers=TOKEN)
    assert body["prompts"] == [
        {"category": "music", "prompt_version": "music/1-ab", "system": "You choose", "user": '{"when":"now"}'}
    ]
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "no_prompts")


@pytest.mark.parametrize(("age_ms", "names"), [(60_000, ["i2"]), (1_000, ["i1", "i2"])])
async def test_a_deleted_item_leaves_the_cache_and_a_new_one_may_be_on_its_way(age_ms: int, names: list[str]) -> None:
    world = a_world()
    items = [FoundItem(item_id="i1"), FoundItem(item_id="i2")]
    await world.clients["prefetch_store"].write("ann", replace(some_music(), items=items, fetched_at=NOW_MS - age_ms))
    await world.items.write([an_item("i2")])
    async with world.http(admin_token="sesame") as client:
        [entry] = (await client.get("/admin/cache/view/ann", headers=TOKEN)).json()["entries"]
    assert [item["item_id"] for item in entry["items"]] == names


def reporting(*reports: dict[str, list[list[Any]]]) -> World:
    """Return a world of as many processes of the feed role as there are reports."""

    async def heartbeats() -> list[dict[str, Any]]:
        return [{"role": "feed", "pid": n, event_rates.KEY: report} for n, report in enumerate(reports)]

    return World(clients={"heartbeats": heartbeats})


async def test_the_highest_event_rates_are_shown_with_their_names() -> None:
    world = reporting(
        {"users": [["ann", 2.5]], "items": [["i1", 601.0]]}, {"users": [["bot", 600.0]], "items": [["i2", 1.0]]}
    )
    async with world.http(admin_token="sesame") as client:
        rates = (await client.get("/admin/event-rates", headers=TOKEN)).json()
    assert rates == {
        "users": [{"id": "bot", "events_per_minute": 600.0}, {"id": "ann", "events_per_minute": 2.5}],
        "items": [{"id": "i1", "events_per_minute": 601.0}, {"id": "i2", "events_per_minute": 1.0}],
    }


async def test_there_are_no_event_rates_while_nothing_runs() -> None:
    async with World().http(admin_token="sesame") as client:
        rates = (await client.get("/admin/event-rates", headers=TOKEN)).json()
    assert rates == {"users": [], "items": []}


async def test_event_rates_are_not_known_without_redis() -> None:
    async def heartbeats() -> list[dict[str, Any]]:
        raise StoreError("reading heartbeats", OSError())

    async with World(clients={"heartbeats": heartbeats}).http(admin_token="sesame") as client:
        response = await client.get("/admin/event-rates", headers=TOKEN)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "store_away")


@pytest.mark.parametrize(
    "name", ["bot", 'bot"} 1', "bot\\", "millrace_role", "日本", "a" * 256, "pid", "users", "0", "le"]
)
async def test_metrics_show_the_highest_event_rates_and_never_their_names(name: str) -> None:
    world = reporting({"users": [[name, 600.0]], "items": [[name, 601.0]]}, {"users": [["ann", 2.5]], "items": []})
    async with world.http() as client:
        lines = (await client.get("/metrics")).text.splitlines()
    series = [line for line in lines if not line.startswith("#")]
    assert {line for line in series if line.startswith("millrace_events_per_minute_highest")} == {
        'millrace_events_per_minute_highest{of="user"} 600.0',
        'millrace_events_per_minute_highest{of="item"} 601.0',
    }
    assert not [line for line in series if line.startswith("millrace_role") or "ann" in line]


async def test_metrics_show_no_event_rates_of_before_while_redis_is_away() -> None:
    reports = [[{"role": "feed", event_rates.KEY: {"users": [["bot", 600.0]], "items": []}}]]

    async def heartbeats() -> list[dict[str, Any]]:
        if not reports:
            raise StoreError("reading heartbeats", OSError())
        return reports.pop()

    async with World(clients={"heartbeats": heartbeats}).http() as client:
        first, second = (await client.get("/metrics")).text, (await client.get("/metrics")).text
    assert 'millrace_events_per_minute_highest{of="user"} 600.0' in first
    assert "millrace_events_per_minute_highest{" not in second


async def test_metrics_count_what_daily_limits_cut_off_over_all_processes() -> None:
    async def heartbeats() -> list[dict[str, Any]]:
        return [{"role": "feed", "limited": {"same_item": 5}}, {"role": "feed", "limited": {"same_item": 2}}]

    async with World(clients={"heartbeats": heartbeats}).http() as client:
        text = (await client.get("/metrics")).text
    assert 'millrace_role{role="feed",what="limited.same_item"} 7.0' in text
    assert 'millrace_events_per_minute_highest{of="user"} 0.0' in text
