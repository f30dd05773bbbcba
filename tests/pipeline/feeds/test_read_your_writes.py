"""Whoever publishes an interaction reads a feed that reflects it, through the API, Kafka, the feed role and Redis."""

from __future__ import annotations

from pathlib import Path

import httpx

from infra import clock
from infra.address import Addresses
from tests.build import an_item
from tests.pipeline.pipeline import a_pipeline
from topics.topic import ITEMS

TIMES = 10


async def test_a_read_after_an_interaction_reflects_it_ten_times(
    stack: Addresses, tmp_path: Path, unused_tcp_port: int
) -> None:
    async with a_pipeline(stack, tmp_path) as pipeline:
        worker = await pipeline.start("feed,trainer,links")
        url = await pipeline.start_api(unused_tcp_port, API_AFTER_TIMEOUT_S="30")
        await pipeline.publish(ITEMS, [an_item(f"i{number}") for number in range(TIMES + 5)])
        await pipeline.settle()
        async with httpx.AsyncClient(base_url=url, timeout=60.0) as http:
            versions = set()
            for number in range(TIMES):
                at_ms = clock.now_ms()
                body = {"user_id": "ann", "item_id": f"i{number}", "action": "like", "occurred_at": at_ms}
                token = (await http.post("/interaction", json=body)).raise_for_status().json()["token"]
                feed = (await http.get("/content", params={"user_id": "ann", "after": token})).json()
                assert feed["reflects_after"] is True
                assert feed["watermark"] >= at_ms, "the feed knows of the time of the interaction"
                again = (await http.get("/content", params={"user_id": "ann"})).json()
                assert again["watermark"] >= at_ms, "nor is the next read older"
                versions.add(feed["version"])
            assert len(versions) == TIMES
        await pipeline.stop(worker)
    async with a_pipeline(stack, tmp_path) as pipeline:
        url = await pipeline.start_api(unused_tcp_port, API_AFTER_TIMEOUT_S="0.2")
        async with httpx.AsyncClient(base_url=url, timeout=60.0) as http:
            body = {"user_id": "ann", "item_id": "i0", "action": "like"}
            token = (await http.post("/interaction", json=body)).raise_for_status().json()["token"]
            answer = await http.get("/content", params={"user_id": "ann", "after": token})
            assert answer.status_code == 404 or answer.json()["reflects_after"] is False, "nobody folds it"
