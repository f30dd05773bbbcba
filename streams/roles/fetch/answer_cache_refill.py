"""Refill of the answer cache: llm-calls → Redis, so that no prompt is repeated after Redis has lost its data."""

from __future__ import annotations

import asyncio
import logging

from aiokafka.errors import KafkaError
from redis.asyncio import Redis

from infra import clock
from infra.kafka.registry import Registry
from infra.llm.answer_cache import AnswerCache
from infra.llm.client import ANSWERED
from infra.redis.connection import StoreError
from infra.redis.projection import LOOK_S, RedisProjection
from infra.settings import Settings
from streams.runtime.topic_history import topic_history
from topics.topic import LLM_CALLS

_LOG = logging.getLogger(__name__)

NAME = LLM_CALLS.name
"""Name of the projection that Redis holds once the answers are restored."""


async def refill_answer_cache(settings: Settings, registry: Registry, redis: Redis) -> None:
    """Restore the unexpired answers from the topic; each role that prompts does so before its first call."""
    cache = AnswerCache(redis, ttl_s=settings.llm_answer_ttl_s)
    now_ms = clock.now_ms()
    since_ms = now_ms - round(settings.llm_answer_ttl_s * 1_000)
    async with topic_history(settings.kafka_bootstrap_servers, registry, LLM_CALLS, since_ms=since_ms) as calls:
        async for call in calls.values():
            if call.outcome == ANSWERED:
                await cache.write(call.prompt_hash, call.response.encode(), age_ms=now_ms - call.occurred_at)
    await RedisProjection(redis).add([NAME])


async def watch_answer_cache(settings: Settings, registry: Registry, redis: Redis) -> None:
    """Restore the answers whenever Redis has lost them, until cancelled."""
    projection = RedisProjection(redis)
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            if await projection.missing([NAME]):
                await refill_answer_cache(settings, registry, redis)
        except (StoreError, KafkaError) as error:
            _LOG.warning("cached answers are not restored yet: %s", error)
