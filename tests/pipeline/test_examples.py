"""The examples that need servers run as their docstrings say, each as a program of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra import clock
from infra.address import Addresses
from infra.fakes.fake_claude import KEY, FakeClaude
from infra.local.port import free_ports
from schemas.types import Content
from tests.build import a_profile, a_trigger, an_item
from tests.installing import install
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import CONTENT, FEATURES, INTERACTIONS, ITEMS, PROFILES, TRIGGERS

EXAMPLES = Path(__file__).parents[2] / "examples"
BOOKS = "books=3600"
DEADLINE_S = 180.0


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        await pipeline.publish(ITEMS, [an_item(f"i{number}", topics=["jazz"]) for number in range(6)])
        yield pipeline


async def run(pipeline: Pipeline, name: str, *arguments: str) -> str:
    status, out, err = await pipeline.python(str(EXAMPLES / name), *arguments)
    assert status == 0, err
    return out


async def test_events_go_in_and_feeds_come_out(pipeline: Pipeline) -> None:
    await pipeline.start("feed,trainer,links")
    out = await run(pipeline, "publish_interactions.py", "alex", "i1", "i2", "--action", "like")
    assert out.count("published to interactions.v1") == 2
    assert {event.item_id for event in await pipeline.read(INTERACTIONS)} == {"i1", "i2"}
    await pipeline.settle()
    assert "alex: " in await run(pipeline, "subscribe_to_feeds.py", "--count", "1")

    url = await pipeline.start_api(free_ports(1)[0])
    out = await run(pipeline, "client_program.py", "alex", "i3", "--url", url)
    before, _, after = out.partition("after:")
    assert "i3" in before
    assert "i3" not in after, "a liked item is not recommended again"
    assert "i4" in after


async def test_an_installed_fetcher_fetches(pipeline: Pipeline, tmp_path: Path) -> None:
    claude, site = FakeClaude(), install(EXAMPLES / "own_fetcher", tmp_path)
    async with claude.serve() as url:
        env = {"FETCH_CATEGORIES": BOOKS, "PYTHONPATH": str(site)}
        await pipeline.start("feed", **env)
        await pipeline.start("fetch", LLM_BASE_URL=url, ANTHROPIC_API_KEY=KEY, **env)
        await pipeline.publish(PROFILES, [a_profile(user_id="alex", topics=["jazz"], occurred_at=clock.now_ms())])

        async def is_known() -> bool:
            return "alex" in await pipeline.newest(FEATURES)

        await until(is_known, timeout_s=DEADLINE_S, what="alex is known")
        await pipeline.publish(TRIGGERS, [a_trigger(user_id="alex", occurred_at=clock.now_ms())])

        async def answer() -> list[Content]:
            return await pipeline.read(CONTENT)

        [content] = await until(answer, timeout_s=DEADLINE_S, what="books for alex")
    assert (content.category, content.source) == ("books", "llm")
    assert content.prompt_version.startswith("books/1-")
    assert "Suggest up to 8 books." in str(claude.requests)
