"""Refill of the answer cache: llm-calls → Redis, so that no prompt is repeated after Redis has lost its data."""

from __future__ import annotations

import asyncio
import logging

from aiokafka.errors import KafkaError

from infra import clock
from infra.llm.answer_cache import AnswerCache
from infra.llm.client import ANSWERED
from infra.redis.connection import StoreError
from infra.redis.projection import LOOK_S, RedisProjection
from streams.runtime.retry import retry_until_available
from streams.runtime.role import Role
from topics.topic import LLM_CALLS

_LOG = logging.getLogger(__name__)

NAME = LLM_CALLS.name
"""Name of the projection that Redis holds once the answers are restored."""


async def restore_when_available(role: Role) -> None:
    """Restore the answers, however long Redis is unavailable; each role that prompts does so before its first call."""
    await retry_until_available(lambda: _restore(role), "answers wait for the store")


async def watch_answer_cache(role: Role) -> None:
    """Restore the answers whenever Redis has lost them, until cancelled."""
    projection = RedisProjection(role.redis)
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            if await projection.missing([NAME]):
                await _restore(role)
        except (StoreError, KafkaError) as error:
            _LOG.warning("cached answers are not restored yet: %s", error)


async def _restore(role: Role) -> None:
    """Restore the unexpired answers from the topic."""
    projection = RedisProjection(role.redis)
    await projection.begin([NAME])
    cache = AnswerCache(role.redis, ttl_s=role.settings.llm_answer_ttl_s)
    now_ms = clock.now_ms()
    async with role.history(LLM_CALLS, since_ms=now_ms - round(role.settings.llm_answer_ttl_s * 1_000)) as calls:
        async for call in calls.values():
            if call.outcome == ANSWERED:
                await cache.write(call.prompt_hash, call.response.encode(), age_ms=now_ms - call.occurred_at)
    await projection.complete([NAME])
