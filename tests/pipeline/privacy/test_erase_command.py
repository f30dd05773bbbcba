"""`millrace erase` while a role is down, and what tools show of an erased user afterwards."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.address import Addresses
from infra.analytics.sources import Sources
from infra.settings import Settings
from tests.build import a_push_request
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import DEVICES, PUSH_REQUESTS

USER, OTHER = "erase-me-7f3a", "other"


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        yield pipeline


async def users_in(pipeline: Pipeline) -> set[str]:
    """Return the users whose push requests `millrace export` would write."""
    users: set[str] = set()
    async with Sources(pipeline.addresses.apply_to(Settings())) as sources:
        relation = await sources.topic(PUSH_REQUESTS)
        async for batch in relation.batches:
            users.update(batch.column("user_id").to_pylist())
    return users


async def letter_count(pipeline: Pipeline) -> int:
    code, out, err = await pipeline.millrace("dead-letters", "list", "--json")
    assert code == 0, err
    return sum(bool(json.loads(line)) for line in out.splitlines())


async def test_a_role_that_is_down_is_waited_for_and_tools_skip_the_user(pipeline: Pipeline) -> None:
    push = await pipeline.start("push")
    for user in (USER, OTHER):
        await pipeline.publish(PUSH_REQUESTS, [a_push_request(user_id=user, token=f"t-{user}")])
        pipeline.publisher.produce_bytes(PUSH_REQUESTS, user.encode(), b"no record")
    await pipeline.publisher.flush()

    async def is_known() -> bool:
        has_devices = (await pipeline.newest(DEVICES)).keys() == {USER, OTHER}
        return has_devices and len(await pipeline.dead_letters()) == 2

    await until(is_known, timeout_s=120.0, what="the devices of both users, and the dead letters")
    assert await letter_count(pipeline) == 2
    assert await pipeline.stop(push) == 0

    code, out, err = await pipeline.millrace("erase", USER, "--timeout", "1")
    assert (code, out) == (1, "")
    assert "To erase their part: push" in err
    assert await users_in(pipeline) == {OTHER}, "the erasure is in force"
    assert await letter_count(pipeline) == 1

    await pipeline.start("push")
    file = pipeline.home / "receipt.json"
    code, _, err = await pipeline.millrace("erase", USER, "--receipt", str(file), "--timeout", "60")
    assert code == 0, err
    counts = {store["name"]: store["erased"] for store in json.loads(file.read_bytes())["stores"]}
    assert counts == {"state: pushes": 1, "redis: devices": 1, "redis: notifications": 0}

    async def is_gone() -> bool:
        return (await pipeline.newest(DEVICES)).keys() == {OTHER}

    await until(is_gone, what="the devices of the erased user to be gone")
    code, _, err = await pipeline.millrace("erase", "~everyone")
    assert (code, "is no user id" in err) == (1, True)
    code, _, err = await pipeline.millrace("erase")
    assert (code, "Name either a user or a receipt" in err) == (1, True)
