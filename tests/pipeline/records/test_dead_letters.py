"""Dead letters through the command line: listed, shown, sent again after a fix."""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.address import Addresses
from schemas.types import Interaction
from tests.build import an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import INTERACTIONS, ITEMS


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        await pipeline.publish(ITEMS, [an_item("i1")])
        yield pipeline


async def millrace(pipeline: Pipeline, *arguments: str) -> str:
    """Run a command and return what it printed."""
    status, out, err = await pipeline.millrace(*arguments)
    assert status == 0, err
    return out


async def test_a_letter_is_listed_shown_and_sent_again(pipeline: Pipeline) -> None:
    worker = await pipeline.start("feed,trainer,links")
    event = an_interaction(event_id=str(uuid.uuid4()), user_id="u1")
    good = pipeline.registry.codec(Interaction).encode(event)
    too_early = struct.pack(">bI", 0, 987_654) + good[5:]
    pipeline.publisher.produce_bytes(INTERACTIONS, b"u1", too_early, headers={"trace": b"abc"})
    await pipeline.publisher.flush()
    await pipeline.settle()

    (line,) = (await millrace(pipeline, "dead-letters", "list", "--reason", "unknown_schema", "--json")).splitlines()
    letter_id = json.loads(line)["letter_id"]
    output = await millrace(pipeline, "dead-letters", "show", letter_id)
    assert "unknown_schema" in output
    assert too_early[:4].hex(" ") in output
    assert letter_id in await millrace(pipeline, "dead-letters", "replay", letter_id, "--dry-run")

    assert "1 sent again" in await millrace(pipeline, "dead-letters", "replay", letter_id)

    async def back() -> bool:
        letters = [x for x in await pipeline.dead_letters() if x.letter_id != letter_id]
        return [x.headers.get("millrace-replayed-from") for x in letters] == [letter_id.encode()]

    await until(back, what="the message fails again, as a new letter that says where it came from")
    lines = await millrace(pipeline, "dead-letters", "list", "--json")
    assert [json.loads(line)["value"] for line in lines.splitlines()] == [json.loads(line)["value"]]
    assert json.loads(lines.splitlines()[0])["headers"].keys() == {"trace", "millrace-replayed-from"}
    assert await pipeline.stop(worker) == 0
