"""While a flood runs, an operator sees which user and which item it comes from: on real servers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra import clock
from infra.address import Addresses
from infra.local.port import free_ports
from schemas.types import Interaction
from tests.build import an_interaction
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import INTERACTIONS, PARTITIONS

CLICKS, OTHERS = 2_000, 30
SURELY = 1_000.0
"""Events per minute that the flood reads as at least, however slow the machine is."""
ADMIN = {"Authorization": "Bearer sesame"}


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        yield pipeline


def clicks(user_id: str, item_id: str, count: int) -> list[Interaction]:
    now_ms = clock.now_ms()
    return [an_interaction(user_id=user_id, item_id=item_id, occurred_at=now_ms) for _ in range(count)]


async def test_a_flood_is_seen_with_its_user_and_item_and_metrics_name_nobody(pipeline: Pipeline) -> None:
    await pipeline.start("feed", worker_id="a")
    await pipeline.start("feed", worker_id="b")
    (port,) = free_ports(1)
    url = await pipeline.start_api(port, ADMIN_TOKEN="sesame")

    async def shared() -> bool:
        return [len(beat["partitions"]) for beat in await pipeline.roles()] == [PARTITIONS // 2] * 2

    await until(shared, what="two workers with half the partitions each")
    usual = [event for n in range(OTHERS) for event in clicks(f"user-{n}", f"item-{n}", 1)]
    await pipeline.publish(INTERACTIONS, [*usual, *clicks("flooder", "target", CLICKS)])
    async with httpx.AsyncClient(base_url=url) as http:

        async def rates() -> Any:
            answer = (await http.get("/admin/event-rates", headers=ADMIN)).json()
            first = [answer[kind][0] for kind in ("users", "items") if answer[kind]]
            return answer if len(first) == 2 and all(one["events_per_minute"] > SURELY for one in first) else None

        answer = await until(rates, what="the flood in the answer for admins")
        refusal = await http.get("/admin/event-rates")
        metrics = (await http.get("/metrics")).text
    assert (answer["users"][0]["id"], answer["items"][0]["id"]) == ("flooder", "target")
    assert answer["users"][0]["events_per_minute"] <= CLICKS
    assert all(one["events_per_minute"] <= 1.0 for kind in ("users", "items") for one in answer[kind][1:])
    assert refusal.status_code == 401
    assert "flooder" not in metrics
    values = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
    assert float(values['millrace_events_per_minute_highest{of="user"}']) > SURELY
    assert float(values['millrace_events_per_minute_highest{of="item"}']) > SURELY
    assert float(values['millrace_role{role="feed",what="limited.same_item"}']) > 0
    _, out, _ = await pipeline.millrace("status", "--json")
    assert json.loads(out)["event_rates"]["users"][0]["id"] == "flooder"
    _, out, _ = await pipeline.millrace("status")
    assert "flooder" in out
    assert "target" in out
