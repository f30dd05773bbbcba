"""Triggers on real servers: the hour, and lists that the API has ranked."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.timestamp import DAY_MS
from infra.address import Addresses
from infra.redis.stores.feed_store import KEY, RERANKED_TTL_S, reranked
from schemas.types import Trigger
from tests.build import T0_MS, a_profile, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, local_ms, until
from topics.topic import INTERACTIONS, ITEMS, PROFILES, TRIGGERS


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        await pipeline.publish(ITEMS, [an_item(f"i{n}", category=f"c{n % 3}") for n in range(12)])
        yield pipeline


async def told(pipeline: Pipeline) -> Counter[tuple[str, str, str]]:
    """Return the triggers on the topic: user, kind and reason of each, and how often it is there."""
    triggers: list[Trigger] = await pipeline.read(TRIGGERS)
    return Counter((trigger.user_id, trigger.kind, trigger.reason) for trigger in triggers)


async def known(pipeline: Pipeline) -> int:
    """Return how many users the worker would wake."""
    return sum(beat["active_users"] for beat in await pipeline.roles() if beat["role"] == "feed")


async def test_everyone_is_woken_once_by_their_own_clock_though_the_worker_is_killed(pipeline: Pipeline) -> None:
    pipeline.set_clock(local_ms("2023-11-16 12:00", "UTC"))
    zones = {"alex": "America/New_York", "bea": "Europe/Lisbon", "gone": "Europe/Lisbon", "far": None}
    profiles = [
        a_profile(user_id=user_id, timezone=zone, occurred_at=T0_MS - 20 * DAY_MS) for user_id, zone in zones.items()
    ]
    await pipeline.publish(PROFILES, profiles)
    await pipeline.publish(INTERACTIONS, [an_interaction(user_id=user_id) for user_id in ("alex", "bea", "far")])
    worker = await pipeline.start_module(
        "tests.pipeline.clock_worker", DEFAULT_TIMEZONE="Asia/Tokyo", TRIGGER_RERANK_HOURS="0"
    )

    async def all_known() -> bool:
        return await known(pipeline) >= 3

    await until(all_known, what="the active users")
    for now, zone, users in (
        ("2023-11-17 17:00", "Asia/Tokyo", {"far"}),
        ("2023-11-17 17:00", "Europe/Lisbon", {"far", "bea"}),
        ("2023-11-17 17:20", "America/New_York", {"far", "bea", "alex"}),
    ):
        pipeline.set_clock(local_ms(now, zone))

        async def woken(users: set[str] = users) -> bool:
            return set(await told(pipeline)) == {(user_id, "time", "friday-evening") for user_id in users}

        await until(woken, what=f"{users} woken at {now} in {zone}")

    async def folded() -> bool:
        return not {what: remainder for what, remainder in (await pipeline.work_left()).items() if "triggers" in what}

    await until(folded, what="the triggers folded and committed")
    await pipeline.kill(worker)
    pipeline.set_clock(local_ms("2023-11-17 17:40", "America/New_York"))
    await pipeline.start_module("tests.pipeline.clock_worker", DEFAULT_TIMEZONE="Asia/Tokyo", TRIGGER_RERANK_HOURS="0")
    await until(all_known, what="the users recalled from the table")
    pipeline.set_clock(local_ms("2023-11-18 09:00", "America/New_York"))

    async def next_day() -> bool:
        return ("alex", "time", "saturday-morning") in await told(pipeline)

    await until(next_day, what="the next slot")
    assert await told(pipeline) == {
        ("far", "time", "friday-evening"): 1,
        ("bea", "time", "friday-evening"): 1,
        ("alex", "time", "friday-evening"): 1,
        ("alex", "time", "saturday-morning"): 1,
    }


async def test_a_given_list_is_ranked_by_a_worker_and_the_feed_stays(pipeline: Pipeline, unused_tcp_port: int) -> None:
    url = await pipeline.start_api(unused_tcp_port)
    worker = await pipeline.start("feed,log")
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:

        async def post(path: str, **body: Any) -> httpx.Response:
            return await http.post(path, json={"user_id": "alex"} | body)

        async def get(path: str) -> Any:
            return (await http.get(path, params={"user_id": "alex"})).json()

        for n in (0, 3, 6):  # all of c0
            assert (await post("/interaction", item_id=f"i{n}", action="like")).status_code == 202

        async def logged() -> bool:
            return len((await get("/interaction/alex"))["interactions"]) == 3

        async def ranked() -> bool:
            return not (await get("/content")).get("fallback", True)

        await until(logged, what="the interactions in the log")
        await until(ranked, what="a feed")
        before = await get("/content")
        candidate_ids = ["i1", "nowhere", "i9", "i2"]
        answer = await post("/results/re-rank", candidates=candidate_ids, event_id=str(uuid.uuid4()))
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert sorted(item["item_id"] for item in body["items"]) == sorted(candidate_ids)
        assert (body["items"][0]["item_id"], body["items"][-1]["item_id"]) == ("i9", "nowhere")
        assert body["items"][0]["item"]["category"] == "c0"
        key = KEY + reranked(Trigger(event_id=body["event_id"], user_id="alex", kind="rerank", occurred_at=0))
        assert 0 < await pipeline.redis.ttl(key) <= RERANKED_TTL_S
        assert {**await get("/content"), "age_ms": 0} == {**before, "age_ms": 0}
        aggregate = await get("/interaction/aggregate/alex")
        assert (aggregate["actions"], aggregate["categories"]) == ({"like": 3}, {"c0": 3})
        by_category = (await get("/results/alex"))["categories"]
        assert {group["category"] for group in by_category} == {"c0", "c1", "c2"}

        assert await pipeline.stop(worker) == 0
        late = await post("/results/re-rank", candidates=candidate_ids)
        assert (late.status_code, late.json()["error"]["code"]) == (504, "not_in_time")
