"""Combine agent: llm-scores → users to rank again. LLM scores arrive after a feed is served, and change its order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from schemas.types import Features
from streams.agents.agent_context import AgentContext
from streams.agents.rank import Ranker
from streams.core.ranking.stages.llm_blend import LlmScoreCache
from streams.transport import Batch
from topics.topic import LLM_SCORES

SOURCES = (LLM_SCORES,)


class CombineAgent:
    """Stores LLM scores for the ranking, and has their users ranked again."""

    def __init__(
        self,
        context: AgentContext,
        features: Callable[[int, str], Features],
        llm_scores: LlmScoreCache,
        ranker: Ranker,
    ) -> None:
        """Create the agent.

        Args:
            context: The clients of the role.
            features: Returns the current features of a user, given partition and user id.
            llm_scores: The newest LLM scores by user.
            ranker: Ranks users by their features and LLM scores.
        """
        self._context, self._features, self._llm_scores, self._ranker = context, features, llm_scores, ranker
        self._decoder = context.decoder(LLM_SCORES, "combine")
        self.checkpoint = context.checkpoint()

    async def process(self, event: Any) -> None:
        """Store one batch of scores and queue their users."""
        batch: Batch = event.value
        await self._context.global_tables.ready.wait()
        usable = await self._decoder.decode(batch)
        users = {}
        for record, scores in usable:
            self._llm_scores.put(scores)
            try:
                features = self._features(batch.partition, scores.user_id)
            except Exception as error:
                self._context.dead_letters.put(record, error, stage="combine.features")
            else:
                if features.version:
                    users[scores.user_id] = record, features
        self.checkpoint.add([event], pending=bool(users))
        if users:
            self._ranker.put(partial(self.checkpoint.release, event), users)

    def drop(self) -> None:
        """Discard the unacknowledged events: they are read again after a rebalance."""
        self.checkpoint.drop()
