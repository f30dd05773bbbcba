"""A language model's scores on the real stack: they come after the feed, change it, and are asked for once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from infra import clock
from infra.address import Addresses
from infra.fakes.fake_claude import KEY, FakeClaude
from infra.redis.stores.feed_store import RedisFeedStore
from infra.redis.stores.llm_score_store import LlmScoreStore
from infra.settings import Settings
from schemas.types import Feed
from streams.roles.score import score_role as score
from tests.build import a_profile, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import INTERACTIONS, ITEMS, LLM_CALLS, PROFILES

TOPICS = ("jazz", "rock", "opera", "folk", "metal")
JAZZ = {f"i{number}" for number in range(0, 30, 5)}


@pytest.fixture(scope="module")
async def pipeline(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pipeline]:
    """A pipeline with a catalogue in which every fifth item is of jazz."""
    async with a_pipeline(stack, tmp_path_factory.mktemp("score")) as pipeline:
        await pipeline.start("feed")
        items = [an_item(f"i{n}", category=f"c{n % 3}", topics=[TOPICS[n % 5]]) for n in range(30)]
        await pipeline.publish(ITEMS, items)
        yield pipeline


@asynccontextmanager
async def scoring(pipeline: Pipeline, url: str, **settings: Any) -> AsyncIterator[None]:
    """Run the role that asks the model."""
    fields = {"anthropic_api_key": KEY, "llm_base_url": url, "llm_max_retries": 0, "llm_timeout_s": 60.0}
    role_settings = pipeline.addresses.apply_to(
        replace(Settings(), **(fields | {"llm_score_interval_s": 0.0} | settings))
    )
    stop = asyncio.Event()
    running = asyncio.create_task(score.run(role_settings, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(running, 30)


async def appear(pipeline: Pipeline, user_id: str, topic: str) -> Feed:
    """Have a user who cares for a topic come into being, and return the first feed."""
    await pipeline.publish(PROFILES, [a_profile(event_id=str(uuid.uuid4()), user_id=user_id, topics=[topic])])
    return await a_feed(pipeline, user_id, lambda _: True)


async def like(pipeline: Pipeline, user_id: str, item_id: str) -> None:
    now_ms = clock.now_ms()
    event = an_interaction(
        event_id=str(uuid.uuid4()), user_id=user_id, item_id=item_id, action="like", occurred_at=now_ms
    )
    await pipeline.publish(INTERACTIONS, [event])


async def a_feed(pipeline: Pipeline, user_id: str, fits: Callable[[Feed], Any]) -> Feed:
    """Return the user's feed once there is one that fits."""
    store = RedisFeedStore(pipeline.redis)

    async def found() -> Feed | None:
        [feed] = await store.read([user_id])
        return feed if feed is not None and fits(feed) else None

    feed: Feed = await until(found, what=f"such a feed for {user_id}")
    return feed


async def circuit(pipeline: Pipeline) -> str:
    """Return how the role's way to the model stands."""
    beats = (beat for beat in await pipeline.roles() if beat["role"] == "score")
    return next((beat["circuit"] for beat in beats), "")


async def test_a_feed_is_there_at_once_and_changes_when_its_scores_come(pipeline: Pipeline) -> None:
    double = FakeClaude()
    double.gate.clear()
    stored_scores = LlmScoreStore(pipeline.redis, ttl_s=60)
    first = await appear(pipeline, "alex", "jazz")
    assert first.llm_scores == {}
    async with double.serve() as url:
        async with scoring(pipeline, url):
            await until(lambda: double.requests, what="a question")
            await like(pipeline, "alex", "i5")
            second = await a_feed(pipeline, "alex", lambda feed: feed.features_version > first.features_version)
            assert second.llm_scores == {}
            double.gate.set()

            async def judged() -> Any:
                scores = await stored_scores.read("alex")
                return scores if scores and scores.features_version == second.features_version else None

            scores = (await until(judged, what="scores by the newest features")).scores
            third = await a_feed(pipeline, "alex", lambda feed: feed.llm_scores == pytest.approx(scores, abs=1e-4))
        assert third.features_version == second.features_version
        assert third.generated_at > second.generated_at
        assert sorted(third.items) == sorted(second.items) != third.items != second.items
        for item, total, ml in zip(third.items, third.scores, third.ml_scores, strict=True):
            llm = third.llm_scores.get(item)
            assert total == pytest.approx(ml if llm is None else 0.6 * ml + 0.4 * llm, abs=1e-3)
        assert {item for item, llm in scores.items() if llm > 0.4} == JAZZ & set(scores)

        request_count = len(double.requests)
        async with scoring(pipeline, url):  # started anew it reads the same feeds again
            await appear(pipeline, "bea", "rock")
            await a_feed(pipeline, "bea", lambda feed: feed.llm_scores)
        assert len(double.requests) == request_count + 1
        for key in [key async for key in pipeline.redis.scan_iter("llm:*")]:
            await pipeline.redis.delete(key)
        async with scoring(pipeline, url):  # what Redis has lost is on the topic
            await appear(pipeline, "cleo", "opera")
            await a_feed(pipeline, "cleo", lambda feed: feed.llm_scores)
        questions = [str(request["messages"]) for request in double.requests]
        assert len(set(questions)) == len(questions), "no question is sent twice"
    calls = await pipeline.read(LLM_CALLS)
    assert [call.outcome for call in calls] == ["answered"] * len(double.requests)
    assert {call.user_id for call in calls} == {"alex", "bea", "cleo"}
    assert not any(name in str(double.requests) for name in ("alex", "bea", "cleo"))


async def test_a_model_that_fails_is_left_alone_and_the_feed_waits_for_nothing(pipeline: Pipeline) -> None:
    double = FakeClaude()
    double.permanent_fault = "server_error"
    async with double.serve() as url:
        async with scoring(pipeline, url, anthropic_api_key=""):
            first = await appear(pipeline, "dora", "folk")
            assert first.llm_scores == {}
            await until(lambda: circuit(pipeline), what="a heartbeat")
            assert await circuit(pipeline) == "no key"
        assert double.requests == []
        async with scoring(pipeline, url, llm_breaker_failures=1, llm_breaker_cooldown_s=1.0):

            async def is_open() -> bool:
                return await circuit(pipeline) == "open"

            await until(is_open, what="an open circuit")
            await like(pipeline, "dora", "i1")
            feed = await a_feed(pipeline, "dora", lambda feed: feed.features_version > first.features_version)
            assert feed.llm_scores == {}
            double.permanent_fault = None
            await a_feed(pipeline, "dora", lambda feed: feed.llm_scores)
