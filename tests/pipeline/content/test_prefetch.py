"""From a trigger to a feed: requests, content, cache and candidates, on real servers with a double of Claude."""

from collections.abc import AsyncIterator
from pathlib import Path

import h3
import pytest

from infra import clock
from infra.address import Addresses
from infra.fakes.fake_claude import KEY, FakeClaude
from infra.redis.stores.feed_store import RedisFeedStore
from infra.redis.stores.prefetch_store import Prefetched, RedisPrefetchStore
from schemas.types import Content, Feed, Location
from tests.build import a_profile, a_trigger, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import CONTENT, FEATURES, FETCH_REQUESTS, INTERACTIONS, ITEMS, LOCATIONS, PROFILES, TRIGGERS

DEADLINE_S = 180.0
BROADWAY = (40.7309, -73.9973)
ROSSIO = (38.7139, -9.1394)
CATALOGUE = [
    an_item("museum", category="places", title="Museum", cell=h3.latlng_to_cell(*BROADWAY, 9), city="New York"),
    an_item("castle", category="places", title="Castle", cell=h3.latlng_to_cell(*ROSSIO, 9), city="Lisbon"),
    *(an_item(f"song-{n}", category="music", topics=["jazz"]) for n in range(5)),
    *(an_item(f"film-{n}", category="movies", topics=["jazz"]) for n in range(20)),
]


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        yield pipeline


class Story:
    """A user, and what is known of them everywhere."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.cache, self.feeds = RedisPrefetchStore(pipeline.redis), RedisFeedStore(pipeline.redis)

    async def begin(self, categories: str) -> None:
        """Introduce Alex to a worker that knows the catalogue and asks for some categories."""
        await self.pipeline.start("feed", FETCH_CATEGORIES=categories)
        await self.pipeline.publish(ITEMS, CATALOGUE)
        profile = a_profile(
            user_id="alex", topics=["jazz", "hiking"], timezone="America/New_York", occurred_at=clock.now_ms()
        )
        await self.pipeline.publish(PROFILES, [profile])

        async def is_known() -> bool:
            user_features = (await self.pipeline.newest(FEATURES)).get("alex")
            return user_features is not None and user_features.preferred == ["jazz", "hiking"]

        await until(is_known, timeout_s=DEADLINE_S, what="alex is known")

    async def goes_to(self, place: tuple[float, float]) -> None:
        """Send a ping from another city, which is a trigger, and wait until it is folded."""
        cell = h3.latlng_to_cell(*place, 7)
        await self.pipeline.publish(
            LOCATIONS,
            [Location(event_id=f"ping-{cell}", user_id="alex", cell=cell, resolution=7, occurred_at=clock.now_ms())],
        )

        async def is_there() -> bool:
            user_features = (await self.pipeline.newest(FEATURES)).get("alex")
            return user_features is not None and user_features.cell == cell

        await until(is_there, timeout_s=DEADLINE_S, what=f"alex is at {place}")

    async def asks(self, event_id: str) -> None:
        """Ask for content by hand."""
        trigger = a_trigger(event_id=event_id, user_id="alex", kind="refresh", occurred_at=clock.now_ms())
        await self.pipeline.publish(TRIGGERS, [trigger])

    async def content(self, count: int) -> dict[str, Content]:
        """Wait for so many contents, and return them by category."""

        async def answered() -> list[Content]:
            contents: list[Content] = await self.pipeline.read(CONTENT)
            return contents if len({one.request_id for one in contents}) >= count else []

        return {one.category: one for one in await until(answered, timeout_s=DEADLINE_S, what=f"{count} contents")}

    async def cached(self, count: int) -> dict[str, Prefetched]:
        """Wait for so many answers in the cache, and return them by category."""

        async def is_there() -> list[Prefetched]:
            result = await self.cache.read("alex")
            return result if len(result) >= count else []

        result = await until(is_there, timeout_s=DEADLINE_S, what=f"{count} cached")
        return {one.category: one for one in result}

    async def feed_with(self, names: set[str]) -> Feed:
        """Wait for a feed that holds some items as fetched for Alex, and return it."""

        async def is_served() -> Feed | None:
            [feed] = await self.feeds.read(["alex"])
            if feed is None:
                return None
            prefetched_items = {
                item for item, source in zip(feed.items, feed.sources, strict=True) if source == "prefetched"
            }
            return feed if names <= prefetched_items else None

        feed: Feed = await until(is_served, timeout_s=DEADLINE_S, what=f"a feed with {names}")
        return feed


def around(place: tuple[float, float]) -> str:
    """Return the cell that content is fetched for, given where pings are."""
    return str(h3.cell_to_parent(h3.latlng_to_cell(*place, 7), 5))


BOTH, PLACES = "places=3600,music=1800", "places=3600"


async def test_a_trigger_becomes_content_in_the_cache_and_items_in_the_feed(pipeline: Pipeline) -> None:
    claude, story = FakeClaude(), Story(pipeline)
    async with claude.serve() as url:
        await pipeline.start("fetch", LLM_BASE_URL=url, ANTHROPIC_API_KEY=KEY, FETCH_CATEGORIES=BOTH)
        await story.begin(BOTH)
        await story.goes_to(BROADWAY)
        await story.asks("t1")  # within the window: merged with that of the place
        content = await story.content(2)
        answers = await story.cached(2)
        assert set(answers) == set(content) == {"places", "music"}
        assert {(one.source, one.fallback, one.reason) for one in content.values()} == {("llm", "", "new-city")}
        items = {one.item_id for one in content["places"].items}
        feed = await story.feed_with(items)
        assert set(feed.items[: len(items)]) <= items | {one.item_id for one in content["music"].items}
        assert "castle" not in feed.items
        keys = {key.decode() for key in await pipeline.redis.keys("prefetch:alex:*")}
        assert keys == {"prefetch:alex:music", f"prefetch:alex:places:{around(BROADWAY)}"}
        requests = await pipeline.read(FETCH_REQUESTS)
        assert (len(requests), len({request.trigger_id for request in requests})) == (2, 1)
        await story.goes_to(ROSSIO)
        new_content = await story.content(3)
        assert new_content["places"].cell == around(ROSSIO)
        there = await story.feed_with({one.item_id for one in new_content["places"].items})
        assert not items & set(there.items)
        assert not {"museum"} & set(there.items)
        assert len(claude.requests) == 3  # music is cached still, wherever alex is


async def test_without_a_key_the_catalogue_answers_and_says_why(pipeline: Pipeline) -> None:
    story = Story(pipeline)
    await pipeline.start("archive")
    await pipeline.start("fetch", ANTHROPIC_API_KEY="", FETCH_CATEGORIES=BOTH)
    await story.begin(BOTH)

    async def is_indexed() -> bool:
        beats = {beat["role"]: beat for beat in await pipeline.roles()}
        return beats.get("archive", {}).get("indexed", 0) >= len(CATALOGUE)

    await until(is_indexed, timeout_s=DEADLINE_S, what="the catalogue is indexed")
    await story.goes_to(BROADWAY)
    content = await story.content(2)
    assert {(one.source, one.fallback) for one in content.values()} == {("catalogue", "no_key")}
    assert [one.item_id for one in content["places"].items] == ["museum"]
    assert {one.reason for one in content["music"].items} == {"You like jazz"}
    answers = await story.cached(2)
    assert {one.fallback for one in answers.values()} == {"no_key"}
    await story.feed_with({"museum"})


async def test_a_worker_killed_in_the_middle_asks_once_more_and_others_feeds_stay_fresh(pipeline: Pipeline) -> None:
    claude, story = FakeClaude(delay_s=600.0), Story(pipeline)
    async with claude.serve() as url:
        env = {"LLM_BASE_URL": url, "ANTHROPIC_API_KEY": KEY, "LLM_TIMEOUT_S": "600", "LLM_DEADLINE_S": "600"}
        env["FETCH_CATEGORIES"] = PLACES
        fetcher = await pipeline.start("fetch", **env)
        await story.begin(PLACES)
        await story.goes_to(BROADWAY)
        await until(lambda: claude.requests, timeout_s=DEADLINE_S, what="the model was asked")
        await others_are_fresh(pipeline)
        assert await pipeline.read(CONTENT) == []  # the model has not answered yet
        await pipeline.kill(fetcher)
        claude.delay_s = 0.0
        await pipeline.start("fetch", **env)
        content = await story.content(1)
        assert content["places"].source == "llm"
        await story.feed_with({one.item_id for one in content["places"].items})
    assert len(claude.requests) == 2


async def others_are_fresh(pipeline: Pipeline) -> None:
    """Act as somebody else, and wait for a feed that knows of it."""
    feeds = RedisFeedStore(pipeline.redis)
    event = an_interaction(user_id="bob", item_id="song-1", occurred_at=clock.now_ms())
    await pipeline.publish(INTERACTIONS, [event])

    async def is_fresh() -> bool:
        [feed] = await feeds.read(["bob"])
        return feed is not None and feed.watermark >= event.occurred_at

    await until(is_fresh, timeout_s=DEADLINE_S, what="bob's feed")
