"""Writer of online metrics: the figures of a process's online evaluation go to the store every few seconds."""

from __future__ import annotations

import asyncio
import logging

from infra.redis.connection import StoreError
from infra.redis.metrics.online_metrics_store import IntervalFigures, OnlineMetricsStore
from streams.core.ranking.online_evaluation import OnlineEvaluation

_INTERVAL_S = 5.0
_LOG = logging.getLogger(__name__)


class OnlineMetricsWriter:
    """Moves figures from an evaluation to a store. After a crash those of the last seconds are missing."""

    def __init__(
        self, evaluation: OnlineEvaluation, store: OnlineMetricsStore, *, interval_s: float = _INTERVAL_S
    ) -> None:
        """Create the writer.

        Args:
            evaluation: The evaluation whose figures are moved.
            store: The store that adds them up.
            interval_s: Time between two writes, in seconds.
        """
        self._evaluation, self._store, self._interval_s = evaluation, store, interval_s

    async def run(self) -> None:
        """Write until cancelled; figures that the store does not take are written the next time."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.write()

    async def write(self) -> None:
        """Write the figures since the last time."""
        figures = self._evaluation.drain()
        if not figures:
            return
        try:
            await self._store.add(
                {
                    number: IntervalFigures(
                        outcomes=one.outcomes, hits=one.hits, gain=one.gain, items=frozenset(one.items)
                    )
                    for number, one in figures.items()
                }
            )
        except StoreError as error:
            self._evaluation.put_back(figures)
            _LOG.warning("online metrics wait for the store: %s", error)
