"""Re-rank agent: triggers → lists of candidate items, or of the whole catalogue in a context, ranked for one user."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from msgspec import structs

from infra.redis.connection import StoreError
from infra.redis.stores.feed_store import RERANKED_TTL_S, FeedStore, reranked
from schemas.types import Features, Feed, Trigger
from streams.agents.agent_context import AgentContext
from streams.agents.exposures import ExposureRecorder
from streams.core.ranking.candidate_rerank import rerank_candidates
from streams.core.ranking.pipeline import stream_time_ms
from streams.core.triggers.list_request import requests_list
from streams.runtime.arm_params import ExperimentParams, with_arms
from streams.transport import Batch
from topics.topic import TRIGGERS

INPUT_TOPICS = (TRIGGERS,)
_LOG = logging.getLogger(__name__)


class RerankAgent:
    """Ranks the candidates of a trigger for a user and stores the list for a short time; the feed stays unchanged.

    The caller waits for the answer, and only briefly: late triggers are skipped, and an unavailable store is not waited
    for.
    """

    def __init__(
        self,
        context: AgentContext,
        features: Callable[[int, str], Features],
        store: FeedStore,
        experiments: ExperimentParams,
        exposures: ExposureRecorder,
    ) -> None:
        """Create the agent.

        Args:
            context: The clients of the role, the catalog snapshot and the blender.
            features: Returns the current features of a user, given partition and user id.
            store: The store of the short-lived answers.
            experiments: The rules of a list, by the arms of its user.
            exposures: Is told of every list under an arm.
        """
        self._context, self._features, self._store = context, features, store
        self._experiments, self._exposures = experiments, exposures
        # Unusable records are skipped here: the user agent sends them to the dead-letter topic.
        self._decoder = context.silent_decoder(TRIGGERS, "rerank")
        self.checkpoint = context.checkpoint()

    async def process(self, event: Any) -> None:
        """Answer the re-rank triggers of one batch."""
        batch: Batch = event.value
        await self._context.global_tables.ready.wait()
        since_ms = self._context.now_ms() - RERANKED_TTL_S * 1000
        for record, trigger in await self._decoder.decode(batch):
            if requests_list(trigger) and record.timestamp > since_ms:
                try:
                    await self._store.write([self._ranked(batch.partition, trigger)])
                except StoreError as error:
                    _LOG.warning("a re-rank request was not answered: %s", error)
                except Exception as error:
                    self._context.dead_letters.put(record, error, stage="rerank.score")
                await asyncio.sleep(0)
        self.checkpoint.add([event])

    def drop(self) -> None:
        """Discard the unacknowledged events: they are read again after a rebalance."""
        self.checkpoint.drop()

    def _ranked(self, partition: int, trigger: Trigger) -> Feed:
        context, features = self._context, self._features(partition, trigger.user_id)
        params = self._experiments.of(features, at_ms=stream_time_ms(features, context.catalog))
        feed = rerank_candidates(
            trigger, features, context.catalog, context.blender, params.rank, now_ms=context.now_ms()
        )
        self._exposures.record(trigger.user_id, params.arms, first_at=feed.generated_at)
        return structs.replace(with_arms(feed, params.arms), user_id=reranked(trigger))
