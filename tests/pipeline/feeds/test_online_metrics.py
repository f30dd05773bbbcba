"""What people do with the feeds that they were served becomes metrics of the last hour."""

from __future__ import annotations

import uuid
from collections import Counter
from pathlib import Path

from infra import clock
from infra.address import Addresses
from infra.redis.metrics.click_rate_store import RedisClickRateStore
from infra.redis.metrics.online_metrics_store import RedisOnlineMetricsStore
from infra.redis.metrics.served_metrics import FeedMetrics, served_metrics
from infra.redis.stores.feed_store import DEFAULT_FEED, RedisFeedStore
from schemas.types import Feed, Impression, Interaction, ShownItem
from tests.build import an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import IMPRESSIONS, INTERACTIONS, ITEMS

ITEM_COUNT = 20


def a_click(item_id: str) -> Interaction:
    return an_interaction(event_id=str(uuid.uuid4()), user_id="ann", item_id=item_id, occurred_at=clock.now_ms())


async def act(pipeline: Pipeline, item_id: str) -> Feed:
    """Click an item, and return the first feed that knows of it."""
    event = a_click(item_id)
    await pipeline.publish(INTERACTIONS, [event])

    async def is_served() -> Feed | None:
        [feed] = await RedisFeedStore(pipeline.redis).read(["ann"])
        return feed if feed is not None and feed.watermark >= event.occurred_at else None

    feed: Feed = await until(is_served, what="a feed that knows of the click")
    return feed


async def test_clicks_are_held_against_the_feed_before_them_and_against_impressions(
    stack: Addresses, tmp_path: Path
) -> None:
    async with a_pipeline(stack, tmp_path) as pipeline:
        await pipeline.start("feed,trainer,links,archive,outcomes")
        await pipeline.publish(ITEMS, [an_item(f"i{n}") for n in range(ITEM_COUNT)])
        await pipeline.settle()
        store, rates = RedisOnlineMetricsStore(pipeline.redis), RedisClickRateStore(pipeline.redis)
        [default_feed] = await RedisFeedStore(pipeline.redis).read([DEFAULT_FEED])
        assert default_feed is not None
        feed = await act(pipeline, default_feed.items[0])  # a hit at rank 1, of a newcomer
        feed = await act(pipeline, feed.items[1])  # a hit at rank 2
        shown_items = [ShownItem(item_id=item, position=n) for n, item in enumerate(feed.items[:4])]
        impression = Impression(event_id="shown", user_id="ann", items=shown_items, occurred_at=clock.now_ms())
        await pipeline.publish(IMPRESSIONS, [impression, impression])

        await act(pipeline, feed.items[14])  # a miss beyond the first ten, and not shown
        await act(pipeline, feed.items[0])

        async def is_complete() -> FeedMetrics | None:
            metrics = (await served_metrics(store, rates)).last_hour
            return metrics if metrics.outcomes >= 4 and metrics.clicks else None

        metrics: FeedMetrics = await until(is_complete, what="four outcomes and a click")
        assert (metrics.outcomes, metrics.impressions, metrics.clicks, metrics.click_through_rate) == (4, 4, 1, 0.25)
        places = {one.label: one.clicks for one in metrics.click_through_rates["place"]}
        assert places == {"0": 1, "1": 0, "2": 0, "3": 0}
        sources = {one.label: one.impressions for one in metrics.click_through_rates["source"]}
        assert sources == Counter(feed.sources[:4])
        assert metrics.hit_rate == 0.75
        assert 10 <= metrics.items <= ITEM_COUNT

        async def is_measured() -> bool:
            return any(beat.get("served", {}).get("outcomes") == 4 for beat in await pipeline.roles())

        await until(is_measured, what="the outcomes in a heartbeat, from which the metrics of Prometheus are made")
