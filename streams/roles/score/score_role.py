"""Score role: feeds, features → llm-scores. A language model judges the best items of feeds that are already served.

It is a separate role, so that a slow model delays no feed. It reads both topics far faster than the model answers, so
only the newest feed of each user waits, few calls run at once, and feeds that wait too long are skipped. It commits no
offsets: the next owner of a partition reads its last minutes again, and finds earlier scores in Redis.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from aiokafka import ConsumerRebalanceListener

from infra import clock
from infra.kafka.admin.provision import consumer_group
from infra.kafka.consumer import kafka_consumer, started
from infra.kafka.readers.record_window import offsets_since
from infra.llm.client import connect
from infra.llm.key import has_key
from infra.redis.stores.item_store import RedisItemStore
from infra.redis.stores.llm_score_store import LlmScoreStore
from infra.settings import Settings
from streams.roles.score.judge import LOOK_BACK_MS, LlmJudge
from streams.runtime.refill.answer_cache_refill import restore_when_available, watch_answer_cache
from streams.runtime.role import Role, open_role
from topics.topic import FEATURES, FEEDS, LLM_CALLS

_MAX_RECORDS = 1_000
_WAIT_MS = 200


class _Rewind(ConsumerRebalanceListener):  # type: ignore[misc]
    """Seeks each newly assigned partition back by `LOOK_BACK_MS`."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, partitions: Any) -> None:
        """Do nothing: this role commits no offsets."""

    async def on_partitions_assigned(self, partitions: Any) -> None:
        """Seek each partition to its first record within `LOOK_BACK_MS`."""
        starts = await offsets_since(self._consumer, list(partitions), clock.now_ms() - LOOK_BACK_MS)
        for tp, offset in starts.items():
            self._consumer.seek(tp, offset)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the role until `stop` is set. Without an API key it only publishes heartbeats."""
    async with (
        open_role("score", settings) as role,
        connect(settings, role.redis, partial(role.publisher.produce, LLM_CALLS)) as llm,
    ):
        score_store = LlmScoreStore(role.redis, ttl_s=settings.llm_scores_ttl_s)
        items = RedisItemStore(role.redis)
        judge = LlmJudge(settings, role.publisher, llm, items, score_store, erasures=role.erasures)
        work = [_judge_feeds(role, judge), watch_answer_cache(role)] if has_key(settings) else []
        await role.run(stop, *work, describe=judge.describe)


async def _judge_feeds(role: Role, judge: LlmJudge) -> None:
    """Read the topics and have feeds judged, until cancelled."""
    await restore_when_available(role)
    decoders = {topic.name: role.decoder(topic) for topic in (FEATURES, FEEDS)}
    consumer = kafka_consumer(role.settings.kafka_bootstrap_servers, group_id=consumer_group(role.name))
    consumer.subscribe(list(decoders), listener=_Rewind(consumer))
    async with started(consumer):
        try:
            while True:
                batches = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_MAX_RECORDS)
                for tp, records in batches.items():
                    newest = {record.key: record for record in records}
                    for key in [key for key, record in newest.items() if key and record.value is None]:
                        judge.forget(key.decode(errors="replace"))
                    for _, value in await decoders[tp.topic].decode(newest.values()):
                        judge.observe(value)
                judge.begin()
        finally:
            await judge.cancel()
