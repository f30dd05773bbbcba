"""Collect role: triggers → collections from the external API, one at a time. A batch consumer without a table.

A trigger is committed once its collection has ended. After a crash it is read again, and the collection resumes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from aiokafka import ConsumerRecord

from infra import clock
from infra.kafka.publisher import PublishError
from infra.kafka.registry import Registry
from infra.redis.stores.collection_store import CollectionStore, RedisCollectionStore
from infra.settings import Settings
from infra.socialverse import LISTS, Socialverse
from schemas.types import Trigger
from streams.roles.collect.collector import Collector
from streams.runtime.dead_letter_queue import DeadLetterQueue
from streams.runtime.decode import Decoder
from streams.runtime.retry import retry_until_available
from streams.runtime.role import open_role
from streams.runtime.sink import run_sink
from topics.topic import TRIGGERS

_WAITS = "a collection waits for Redis"
_LOG = logging.getLogger(__name__)


class CollectTriggerConsumer:
    """Runs the collections that triggers ask for."""

    def __init__(
        self, collector: Collector, store: CollectionStore, registry: Registry, dead_letters: DeadLetterQueue
    ) -> None:
        self._collector, self._store, self._dead_letters = collector, store, dead_letters
        # Unusable records are skipped here: the user agent sends them to the dead-letter topic.
        self._decoder = Decoder(TRIGGERS, registry, None, stage="collect")
        self.answer_count = 0

    async def write(self, _topic: str, records: Sequence[ConsumerRecord]) -> None:
        """Run the collections of a batch, however long Redis is unavailable; a failing trigger becomes a dead letter.

        Raises:
            PublishError: the broker is unavailable.
        """
        usable = await self._decoder.decode(records)
        for call in ((record, one) for record, one in usable if one.kind == "collect" and one.reason in LISTS):
            await self._dead_letters.write([call], self._answer, stage="collect.answer", log_message=_WAITS)

    async def _answer(self, calls: Sequence[tuple[ConsumerRecord, Trigger]]) -> None:
        for _, trigger in calls:
            if await self._is_new(trigger):
                await self._collector.collect(
                    trigger.reason,
                    request_id=trigger.event_id,
                    page=_number(trigger.context.get("page"), 1),
                    page_size=_number(trigger.context.get("page_size"), 1_000),
                )
                self.answer_count += 1

    async def _is_new(self, trigger: Trigger) -> bool:
        """Return whether no later trigger was answered, which is the case when the topic is read from its beginning."""
        collection = (await self._store.read())[trigger.reason]
        return collection.request_id == trigger.event_id or collection.started_at <= trigger.occurred_at


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the role until `stop` is set."""
    async with open_role("collect", settings) as role:
        store, pages = RedisCollectionStore(role.redis), Socialverse(settings)
        collector = Collector(pages, role.publisher, store, now_ms=clock.now_ms, rating_scale=settings.rating_scale)
        calls = CollectTriggerConsumer(collector, store, role.registry, role.dead_letters)
        work = [run_sink(role, [TRIGGERS], calls.write)]
        if settings.collect_interval_s:
            work.append(collect_periodically(collector, settings.collect_interval_s))
        try:
            await role.run(stop, *work, describe=lambda: {"answered": calls.answer_count})
        finally:
            await pages.close()


async def collect_periodically(
    collector: Collector,
    interval_s: float,
    *,
    now_ms: Callable[[], int] = clock.now_ms,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Collect every list once per interval, until cancelled.

    The request id is the number of the interval, so that a restart resumes the collection.

    Args:
        collector: Runs the collections.
        interval_s: Time between two turns, in seconds.
        now_ms: The clock, in ms since the epoch.
        sleep: Waits for a time in seconds.
    """
    while True:
        turn = int(now_ms() / 1_000 // interval_s)
        for name in LISTS:
            try:
                await retry_until_available(partial(collector.collect, name, request_id=f"turn-{turn}"), _WAITS)
            except PublishError:
                raise
            except Exception:
                _LOG.exception("%s were not collected in this interval", name)
        await sleep(max(0.0, interval_s * (turn + 1) - now_ms() / 1_000))


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and int(text) > 0 else default
