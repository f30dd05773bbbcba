"""triggers → given lists, ranked for whoever asked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from msgspec import structs

from infra.redis.connection import StoreError
from infra.redis.stores.feed_store import RERANKED_TTL_S, FeedStore, reranked
from schemas.types import Features, Feed, Trigger
from streams.core.params import RankParams
from streams.core.ranking.candidate_rerank import rerank_candidates
from streams.runtime.agent_context import AgentContext
from streams.runtime.decode import Decoder
from streams.transport import Batch
from topics.topic import TRIGGERS

SOURCES = (TRIGGERS,)
_LOG = logging.getLogger(__name__)


class RerankAgent:
    """Ranks given items for a user and leaves them in the store for a short while; the user's feed stays as it is.

    Somebody waits for it, and not for long: what came too late is passed over, as is a store that is away.
    """

    def __init__(
        self,
        context: AgentContext,
        features: Callable[[int, str], Features],
        store: FeedStore,
        params: RankParams,
    ) -> None:
        """`features` tells of a user in a partition."""
        self._context, self._features, self._store, self._params = context, features, store, params
        # What is unusable is passed over: the user agent sets it aside.
        self._decoder = Decoder(TRIGGERS, context.registry, None, stage="rerank")
        self.checkpoint = context.checkpoint()

    async def process(self, event: Any) -> None:
        """Answer what is asked in one batch."""
        batch: Batch = event.value
        await self._context.broadcast.ready.wait()
        since_ms = self._context.now_ms() - RERANKED_TTL_S * 1000
        for record, trigger in await self._decoder.decode(batch):
            if trigger.kind == "rerank" and trigger.candidates and record.timestamp > since_ms:
                try:
                    await self._store.write([self._ranked(batch.partition, trigger)])
                except StoreError as error:
                    _LOG.warning("a re-rank is not answered: %s", error)
                except Exception as error:
                    self._context.quarantine.put(record, error, stage="rerank.score")
                await asyncio.sleep(0)
        self.checkpoint.hold([event])

    def drop(self) -> None:
        """Forget what is held: after a rebalance it is read again."""
        self.checkpoint.drop()

    def _ranked(self, partition: int, trigger: Trigger) -> Feed:
        context = self._context
        feed = rerank_candidates(
            trigger,
            self._features(partition, trigger.user_id),
            context.view,
            context.blender,
            self._params,
            now_ms=context.now_ms(),
        )
        return structs.replace(feed, user_id=reranked(trigger))
