"""The privacy budget on a real log: processes that spend at the same time, one that is killed, and the commands."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from infra import clock
from infra.address import Addresses
from infra.privacy.privacy_ledger import LEDGER, PrivacyLedger
from infra.settings import Settings
from tests.build import an_interaction
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from tests.pipeline.privacy.spender import EPSILON, OVER
from topics.topic import INTERACTIONS, PRIVACY_LEDGER

SPENDINGS = round(1.0 / EPSILON)


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        yield pipeline


async def test_the_ledger_adds_up_under_two_processes_and_a_kill(pipeline: Pipeline) -> None:
    victim, survivor = [
        await pipeline.start_module("tests.pipeline.privacy.spender", worker_id=name) for name in ("a", "b")
    ]
    logs = [pipeline.home / f"process-{number}.log" for number in range(2)]

    async def are_spending() -> bool:
        return all(len(log.read_text().splitlines()) >= 3 for log in logs)

    await until(are_spending, what="spendings of both processes")
    await pipeline.kill(victim)
    assert await asyncio.wait_for(survivor.wait(), 120) == 0

    pipeline.publisher.produce_bytes(PRIVACY_LEDGER, LEDGER.encode(), b"no record")
    await pipeline.publisher.flush()
    ledger = PrivacyLedger(pipeline.addresses.apply_to(Settings()), pipeline.registry)
    budget = await ledger.read(clock.now_ms())
    granted_ids = {spending.spending_id for spending in budget.spendings}
    released_ids = {line for log in logs for line in log.read_text().splitlines()} - {OVER}
    assert (len(granted_ids), budget.refusals) == (SPENDINGS, 1)
    assert budget.epsilon_spent == pytest.approx(1.0)
    assert released_ids <= granted_ids, "nothing is released that is not in the ledger"
    assert len(granted_ids - released_ids) <= 1, "the killed process has spent at most once for nothing"


async def test_counts_are_released_until_the_budget_is_spent(pipeline: Pipeline, unused_tcp_port: int) -> None:
    events = [
        an_interaction(event_id=f"{user}-{item}", user_id=f"u{user}", item_id=f"i{item}")
        for user in range(200)
        for item in range(2 if user < 100 else 1)
    ]
    rare = an_interaction(event_id="rare", user_id="one", item_id="rare")
    await pipeline.publish(INTERACTIONS, [*events, rare])
    arguments = ("privacy", "release", "interactions", "--by", "item_id", "--epsilon", "0.6", "--groups", "2", "--json")
    code, out, err = await pipeline.millrace(*arguments)
    assert code == 0, err
    release = json.loads(out)
    counts = Counter({event.item_id: 0 for event in events})
    counts.update(event.item_id for event in events)
    assert set(release["users"]) == {"i0", "i1"}
    assert all(abs(release["users"][item] - counts[item]) < 60 for item in ("i0", "i1"))

    code, out, err = await pipeline.millrace(*arguments)
    assert (code, out) == (1, "")
    assert "epsilon 0.4" in err

    code, out, err = await pipeline.millrace("privacy", "budget", "--json")
    assert code == 0, err
    budget = json.loads(out)
    assert (budget["epsilon_spent"], budget["epsilon_left"], budget["refusals"]) == (0.6, 0.4, 1)
    assert [spending["spending_id"] for spending in budget["spendings"]] == [release["spending_id"]]

    url = await pipeline.start_api(unused_tcp_port, ADMIN_TOKEN="a" * 32)
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {'a' * 32}"}) as http:
        assert (await http.get(f"{url}/privacy/budget")).json() == budget
