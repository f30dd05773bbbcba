"""The writer of online metrics: figures reach the store once, however often it is away."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from domain.timestamp import DAY_MS
from infra.redis.connection import StoreError
from infra.redis.metrics.online_metrics_store import INTERVAL_MS, IntervalFigures, MemoryOnlineMetricsStore
from streams.core.ranking.choice_set import ChoiceSet
from streams.core.ranking.online_evaluation import OnlineEvaluation
from streams.core.ranking.served_feeds import FeedChoice, ServedFeed
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
    feed = a_feed(user_id="u1", items=["a", "b"], watermark=T0_MS, generated_at=T0_MS)
    choice_set = ChoiceSet.of(feed.items, np.zeros((1, 2), np.float32), [(0, (0,))])
    evaluation.show(feed)
    evaluation.add(FeedChoice("a", ServedFeed.of(feed, choice_set), T0_MS), at_ms=T0_MS)
    await writer.write()
    store.is_away = False
    for _ in range(2):
        await writer.write()
    day = await store.read(DAY_MS)
    assert (day.outcomes, day.hit_rate, day.items) == (1, 1.0, 2)
