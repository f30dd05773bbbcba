"""Fetch role: fetch requests → content, items. It is a separate role, so that a slow model delays no feed.

A batch consumer without a table. It works on a bounded number of requests at once, in any order, and commits the
offsets before the first unfinished request. A request that is read again after a crash was answered before, or is sent
to the model once more, but not more often.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any

import asyncpg
from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from infra import clock
from infra.kafka.admin.provision import consumer_group
from infra.kafka.consumer import kafka_consumer, positions
from infra.kafka.publisher import PublishError
from infra.llm.client import Llm
from infra.llm.client import connect as connect_llm
from infra.llm.key import has_key
from infra.postgres.hybrid_search import HybridSearch
from infra.postgres.pool import open_pool
from infra.redis.stores.item_store import RedisItemStore
from infra.redis.stores.prefetch_store import RedisPrefetchStore
from infra.settings import Settings, seconds_by_name
from models.text.encoders import ENCODERS
from streams.roles.fetch.service import FetchService
from streams.runtime.core_params import fetchers
from streams.runtime.decode import Decoder
from streams.runtime.refill.answer_cache_refill import restore_when_available, watch_answer_cache
from streams.runtime.role import Role, open_role
from streams.transport.ledger import OffsetTracker
from topics.topic import FETCH_REQUESTS, LLM_CALLS

_PER_SLOT = 2
"""Requests in progress per concurrent call to the model, so that no call waits for the broker."""
_WAIT_MS = 200
_DRAIN_S = 5.0
"""Time in which requests may still finish after the role is asked to stop."""
_LOG = logging.getLogger(__name__)


class FetchConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads requests and answers them concurrently."""

    def __init__(self, role: Role, service: FetchService) -> None:
        self._publisher, self._dead_letters, self._service = role.publisher, role.dead_letters, service
        self._erasures = role.erasures
        self._decoder = Decoder(FETCH_REQUESTS, role.registry, role.dead_letters, stage="fetch", erasures=role.erasures)
        self._most = _PER_SLOT * role.settings.llm_concurrency
        self._offset_tracker: OffsetTracker[TopicPartition] = OffsetTracker()
        self._under_way: set[asyncio.Task[None]] = set()
        self._consumer = kafka_consumer(
            role.settings.kafka_bootstrap_servers, group_id=consumer_group(role.name), auto_offset_reset="earliest"
        )

    @property
    def waiting(self) -> int:
        """Return the number of requests in progress."""
        return len(self._under_way)

    async def run(self) -> None:
        """Answer requests until cancelled, then wait briefly for those in progress."""
        self._consumer.subscribe([FETCH_REQUESTS.name], listener=self)
        try:
            await self._consumer.start()
            while True:
                await self._take()
                await self._commit()
        except asyncio.CancelledError:
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=_DRAIN_S)
            await self._commit()
            raise
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)
            await self._consumer.stop()

    async def on_partitions_revoked(self, partitions: list[TopicPartition]) -> None:
        """Commit finished requests; the others are read again, here or elsewhere, and recognised by their ids."""
        await self._commit()
        self._offset_tracker.clear()

    async def on_partitions_assigned(self, partitions: list[TopicPartition]) -> None:
        """Start to track the offsets of the partitions afresh."""
        for tp in partitions:
            self._offset_tracker.start(tp)

    async def _take(self) -> None:
        """Start as many requests as there is room for."""
        room = self._most - len(self._under_way)
        if not room:
            await asyncio.wait(self._under_way, timeout=_WAIT_MS / 1_000, return_when=asyncio.FIRST_COMPLETED)
        else:
            batches = await self._consumer.getmany(timeout_ms=_WAIT_MS, max_records=room)
            for tp, records in batches.items():
                for record in records:
                    in_flight = self._offset_tracker.deliver(
                        tp, record.offset + 1, records=1, size_bytes=len(record.value or b"")
                    )
                    self._begin(self._answer(record, in_flight))
            for tp, position in (await positions(self._consumer)).items():
                self._offset_tracker.skip_to(tp, position)
        for task in [task for task in self._under_way if task.done()]:
            self._under_way.remove(task)
            task.result()  # raises an error that must end the role

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._under_way.add(asyncio.ensure_future(work))

    async def _answer(self, record: ConsumerRecord, in_flight: Any) -> None:
        for _, request in await self._decoder.decode([record]):
            try:
                # The trigger may be older than the erasure though its request was appended after it.
                is_erased = partial(self._erasures.covers, record.key, min(record.timestamp, request.occurred_at))
                await self._service.answer(request, asked_at=record.timestamp, is_erased=is_erased)
            except PublishError:
                raise
            except Exception as error:
                self._dead_letters.put(record, error, stage="fetch.answer")
        self._offset_tracker.acknowledge(in_flight)

    async def _commit(self) -> None:
        """Commit finished requests, once their results are acknowledged."""
        offsets = {tp: self._offset_tracker.committable(tp) for tp in self._offset_tracker.pending()}
        if not offsets:
            return
        await self._publisher.flush()
        try:
            await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            _LOG.info("the group has rebalanced; the commit of answered requests is skipped: %s", error)
            return
        for tp, offset in offsets.items():
            if offset is not None:
                self._offset_tracker.commit(tp, offset)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the role until `stop` is set."""
    async with (
        open_role("fetch", settings) as role,
        connect_llm(settings, role.redis, partial(role.publisher.produce, LLM_CALLS)) as llm,
    ):
        pool = await open_pool(settings.database_url, ready=0)
        service = _service(role, llm, pool)
        fetch = FetchConsumer(role, service)

        async def work() -> None:
            if has_key(settings):
                await restore_when_available(role)
            await fetch.run()

        def describe() -> dict[str, Any]:
            return {"waiting": fetch.waiting, "answered": dict(service.answer_counts), "llm": llm.describe()}

        try:
            await role.run(stop, work(), *([watch_answer_cache(role)] if has_key(settings) else []), describe=describe)
        finally:
            pool.terminate()


def _service(role: Role, llm: Llm, pool: asyncpg.Pool) -> FetchService:
    settings = role.settings
    encoder = ENCODERS[settings.text_encoder]()
    search = HybridSearch(
        pool, encoder=encoder.name, radius_km=settings.nearby_radius_km, hides_out_of_stock=settings.hides_out_of_stock
    )
    return FetchService(
        llm,
        search,
        RedisItemStore(role.redis),
        RedisPrefetchStore(role.redis),
        role.publisher,
        fetchers=fetchers(settings),
        cached_s=seconds_by_name(settings.fetch_categories),
        encoder=encoder,
        deadline_s=settings.fetch_deadline_s,
        now_ms=clock.now_ms,
    )
