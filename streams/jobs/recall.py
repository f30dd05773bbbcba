"""llm-calls → the answers in Redis: what a language model has answered is not asked again, though Redis was lost."""

from __future__ import annotations

from infra import clock
from infra.llm.client import ANSWERED
from infra.llm.recall import Recall
from infra.registry import Registry
from infra.settings import Settings
from streams.jobs.history import history
from topics.topic import LLM_CALLS


async def restore(settings: Settings, registry: Registry, recall: Recall) -> None:
    """Put back the answers on the topic that are still of use; a role that asks does so before its first question."""
    now_ms = clock.now_ms()
    since_ms = now_ms - round(settings.llm_answer_ttl_s * 1_000)
    async with history(settings.kafka_bootstrap_servers, registry, LLM_CALLS, since_ms=since_ms) as calls:
        async for call in calls.every():
            if call.outcome == ANSWERED:
                await recall.write(call.prompt_hash, call.response.encode(), age_ms=now_ms - call.occurred_at)
