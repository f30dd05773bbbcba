"""The Kafka client in its thread: fetches with their positions, commits that may fail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP
from mode.threads import WorkerThread

from infra.kafka.consumer import READ_COMMITTED

_FETCH_MIN_BYTES = 64 << 10
"""A fetch that would bring less waits at the broker for more: asking for one record costs more than folding it."""
_IDLE_AFTER_S, _IDLE_WAIT_MS = 0.1, 200
"""How long nothing comes before a fetch waits for the first record alone, and how long it then waits."""


@dataclass(frozen=True, slots=True)
class FetchedBatches:
    """What one fetch brought of one partition."""

    records: Sequence[ConsumerRecord]
    start: int | None
    """Position before the fetch; None while the broker was setting it."""
    end: int
    """Position after it, which may be past the last record: compacted offsets, control records."""
    stable: int
    """Offset up to which records are committed: where the log ends, or its first open transaction begins."""


class _DaemonThread(WorkerThread):  # type: ignore[misc]
    """A thread that does not keep a crashed worker's process alive."""

    def __init__(self, service: Any, **kwargs: Any) -> None:
        super().__init__(service, **kwargs)
        self.daemon = True


class ClientThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's client thread, with fetches that say where they started and commits that do not crash the worker."""

    Worker = _DaemonThread

    async def fetch(self, due: Mapping[TP, int | None], *, wait_s: float) -> dict[TP, FetchedBatches]:
        """Return what is there of some partitions, waiting a while for the first records.

        `due` is where each fetch should start, if that is known. Partitions that stand elsewhere are returned at once,
        without records, and nothing is fetched.
        """
        batches: dict[TP, FetchedBatches] = await self.call_thread(self._fetch, self._ensure_consumer(), due, wait_s)
        return batches

    async def _fetch(
        self, consumer: AIOKafkaConsumer, due: Mapping[TP, int | None], wait_s: float
    ) -> dict[TP, FetchedBatches]:
        starts = _positions(consumer, due)
        misaligned = {tp: start for tp, start in starts.items() if due[tp] is not None and start != due[tp]}
        if misaligned:
            return {tp: FetchedBatches((), start, start, start) for tp, start in misaligned.items()}
        idle = asyncio.get_running_loop().call_later(_IDLE_AFTER_S, self._pace, consumer, 1, _IDLE_WAIT_MS)
        try:
            records = await self._fetch_records(consumer, set(due), timeout=wait_s, max_records=None)
        finally:
            idle.cancel()
        if records:
            self._pace(consumer, _FETCH_MIN_BYTES, self.app.limits.batch_wait_ms)
        ends = _positions(consumer, due)
        batches = {}
        for tp in due:
            start, end = starts.get(tp), ends.get(tp)
            if end is not None and (tp in records or (start is not None and end > start)):
                batches[tp] = FetchedBatches(records.get(tp, ()), start, end, consumer.last_stable_offset(tp) or end)
        return batches

    async def seek_back(self, tp: TP, position: int) -> None:
        """Seek a partition that is still assigned; returns when it is done."""

        async def seek(consumer: AIOKafkaConsumer) -> None:
            if tp in consumer.assignment():
                consumer.seek(TopicPartition(*tp), position)

        await self.call_thread(seek, self._ensure_consumer())

    async def seek_to_commits(self, partitions: Iterable[TP]) -> dict[TP, int]:
        """Seek to what is committed, else to the oldest records or wherever the group's policy says.

        Returns the new positions; without a policy that says so now, a partition is left out.
        """

        async def seek(consumer: AIOKafkaConsumer) -> dict[TP, int]:
            tps = [TopicPartition(*tp) for tp in partitions]
            offsets = await asyncio.gather(*(consumer.committed(tp) for tp in tps))
            starts = {TP(*tp): offset for tp, offset in zip(tps, offsets, strict=True) if offset}
            for tp, offset in starts.items():
                consumer.seek(TopicPartition(*tp), offset)
            fresh = [tp for tp in tps if tp not in starts]
            if fresh and self.app.conf.consumer_auto_offset_reset == "earliest":
                await consumer.seek_to_beginning(*fresh)
                starts.update({TP(*tp): await consumer.position(tp) for tp in fresh})
            return starts

        starts: dict[TP, int] = await self.call_thread(seek, self._ensure_consumer())
        return starts

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Other requests to the same broker wait behind a fetch that waits for records: Faust's 1.5 s is long for that.
        consumer._fetch_max_wait_ms = self.app.limits.batch_wait_ms
        consumer._fetch_min_bytes = _FETCH_MIN_BYTES
        consumer._isolation_level = READ_COMMITTED  # Faust reads so only within transactions of its own
        return consumer

    @staticmethod
    def _pace(consumer: AIOKafkaConsumer, min_bytes: int, max_wait_ms: int) -> None:
        """Say what the next fetches wait for: each costs a millisecond, whether it brings anything or not."""
        fetcher: Any = consumer._fetcher
        fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms = min_bytes, max_wait_ms

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        owned_offsets = {TopicPartition(*tp): offset for tp, offset in offsets.items() if tp in assigned}
        try:
            # The client retries what may pass (coordinator or leader moved) without end: hence the limit.
            await asyncio.wait_for(consumer.commit(owned_offsets), self.app.conf.broker_request_timeout)
        except (CommitFailedError, IllegalStateError) as error:
            self.log.info("Commit refused, the group has rebalanced: %s", error)
            return False
        except (KafkaError, TimeoutError) as error:
            if isinstance(error, KafkaError) and not error.retriable:
                await self.crash(error)
            self.log.warning("Commit failed and stays due: %r", error)
            return False
        return True


def _positions(consumer: AIOKafkaConsumer, partitions: Iterable[TP]) -> dict[TP, int]:
    subscription: Any = consumer._subscription.subscription
    assignment = subscription.assignment if subscription is not None else None
    if assignment is None:
        return {}
    positions = {}
    for tp in partitions:
        if tp in assignment.tps:
            state = assignment.state_value(tp)
            if state is not None and state.has_valid_position:
                positions[tp] = state.position
    return positions
