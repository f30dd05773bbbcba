"""The writer of online metrics: figures reach the store once, however often it is away."""

from __future__ import annotations

from collections.abc import Mapping

from domain.timestamp import DAY_MS
from infra.redis.connection import StoreError
from infra.redis.metrics.online_metrics_store import INTERVAL_MS, IntervalFigures, MemoryOnlineMetricsStore
from schemas.types import Features, RecentItem
from streams.core.ranking.online_evaluation import OnlineEvaluation
from streams.roles.feed.online_metrics_writer import OnlineMetricsWriter
from tests.build import T0_MS, a_feed


class AwayStore(MemoryOnlineMetricsStore):
    """A store that does not answer at first."""

    is_away = True

    async def add(self, figures: Mapping[int, IntervalFigures]) -> None:
        if self.is_away:
            raise StoreError("adding", OSError("away"))
        await super().add(figures)


async def test_figures_that_the_store_did_not_take_are_written_later() -> None:
    evaluation, store = OnlineEvaluation(interval_ms=INTERVAL_MS), AwayStore(clock_s=lambda: T0_MS / 1_000)
    writer = OnlineMetricsWriter(evaluation, store)
    features = Features(user_id="u1", version=1, watermark=T0_MS, event_count=0)
    feed = a_feed(user_id="u1", items=["a", "b"], watermark=T0_MS - 2, generated_at=T0_MS)
    evaluation.add(feed, features)
    later_features = Features(
        user_id="u1",
        version=2,
        watermark=T0_MS,
        event_count=1,
        recent=[RecentItem(item_id="a", weight=1.0, at=T0_MS)],
    )
    evaluation.add(feed, later_features)
    await writer.write()
    store.is_away = False
    for _ in range(2):
        await writer.write()
    day = await store.read(DAY_MS)
    assert (day.outcomes, day.hit_rate, day.items) == (1, 1.0, 2)
