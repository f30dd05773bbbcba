"""Combine agent: llm-scores → re-ordered feeds. LLM scores arrive after a feed is served, and change its order."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import replace

from infra.redis.stores.feed_store import FeedStore
from schemas.types import Feed
from streams.core.params import RankParams
from streams.core.ranking.llm_blend import LlmScoreCache
from streams.runtime.agent_context import AgentContext
from streams.runtime.dead_letter_queue import Record
from streams.runtime.retry import retry_until_available
from topics.topic import FEEDS, LLM_SCORES

SOURCES = (LLM_SCORES,)


class CombineAgent:
    """Passes LLM scores to the rank agent, and re-orders the stored feeds that they belong to.

    A feed that is ranked in the meantime is newer and stays: it already includes the scores, or receives the scores of
    its own feature version.
    """

    def __init__(self, context: AgentContext, store: FeedStore, llm_scores: LlmScoreCache, params: RankParams) -> None:
        self._context, self._store, self._llm_scores, self._params = context, store, llm_scores, params
        self._decoder = context.decoder(LLM_SCORES, "combine")
        self.checkpoint = context.checkpoint()

    async def process(self, event: Any) -> None:
        """Cache one batch of scores and re-order the feeds of their users."""
        await self._context.global_tables.ready.wait()
        usable = await self._decoder.decode(event.value)
        for _, scores in usable:
            self._llm_scores.put(scores)
        newest = {scores.user_id: record for record, scores in usable}
        await asyncio.gather(*(self._reorder(record, user_id) for user_id, record in newest.items()))
        self.checkpoint.add([event])

    def drop(self) -> None:
        """Discard the unacknowledged events: they are read again after a rebalance."""
        self.checkpoint.drop()

    async def _reorder(self, record: Record, user_id: str) -> None:
        """Replace a user's stored feed and publish the new one."""
        try:
            feed = await retry_until_available(lambda: self._write_reordered(user_id), "scores wait for the store")
        except Exception as error:
            self._context.dead_letters.put(record, error, stage="combine.feed")
            return
        if feed is not None:
            self._context.publisher.produce(FEEDS, feed)

    async def _write_reordered(self, user_id: str) -> Feed | None:
        """Write the re-ordered feed of a user and return it; None when the scores do not apply to the stored feed."""
        [current] = await self._store.read([user_id])
        if current is None:
            return None
        newer = replace(current, generated_at=max(self._context.now_ms(), current.generated_at + 1))
        feed = self._llm_scores.blend(newer, self._context.catalog, self._params)
        return feed if feed is not newer and await self._store.write([feed]) else None
