"""Kafka client in its own thread: fetches with their positions, and commits that may fail."""

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
"""Smallest response for which the broker does not wait: fetching a single record costs more than folding it."""
_IDLE_AFTER_S, _IDLE_WAIT_MS = 0.1, 200
"""Idle time after which fetches return at the first record, and their longest wait for it."""


@dataclass(frozen=True, slots=True)
class FetchedBatches:
    """The result of one fetch for one partition."""

    records: Sequence[ConsumerRecord]
    start: int | None
    """Position before the fetch; None while the broker was setting it."""
    end: int
    """Position after the fetch, possibly past the last record because of compacted offsets and control records."""
    stable: int
    """Last stable offset: the end of the log, or the start of its first open transaction."""


class _DaemonThread(WorkerThread):  # type: ignore[misc]
    """A thread that does not keep a crashed worker's process alive."""

    def __init__(self, service: Any, **kwargs: Any) -> None:
        super().__init__(service, **kwargs)
        self.daemon = True


class ClientThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's client thread, with fetches that report their start and commits that do not crash the worker."""

    Worker = _DaemonThread

    async def fetch(self, due: Mapping[TP, int | None], *, wait_s: float) -> dict[TP, FetchedBatches]:
        """Fetch records of some partitions, and wait for the first ones if there are none.

        If any partition is at another position than expected, these partitions are returned at once without records,
        and nothing is fetched.

        Args:
            due: The expected position of each partition, None if unknown.
            wait_s: Longest time to wait, in seconds.
        """
        batches: dict[TP, FetchedBatches] = await self.call_thread(self._fetch, self._ensure_consumer(), due, wait_s)
        return batches

    async def _fetch(
        self, consumer: AIOKafkaConsumer, due: Mapping[TP, int | None], wait_s: float
    ) -> dict[TP, FetchedBatches]:
        starts = _positions(consumer, due)
        misaligned_starts = {tp: start for tp, start in starts.items() if due[tp] is not None and start != due[tp]}
        if misaligned_starts:
            return {tp: FetchedBatches((), start, start, start) for tp, start in misaligned_starts.items()}
        idle = asyncio.get_running_loop().call_later(
            _IDLE_AFTER_S, self._set_fetch_thresholds, consumer, 1, _IDLE_WAIT_MS
        )
        try:
            records = await self._fetch_records(consumer, set(due), timeout=wait_s, max_records=None)
        finally:
            idle.cancel()
        if records:
            self._set_fetch_thresholds(consumer, _FETCH_MIN_BYTES, self.app.limits.batch_wait_ms)
        ends = _positions(consumer, due)
        batches = {}
        for tp in due:
            start, end = starts.get(tp), ends.get(tp)
            if end is not None and (tp in records or (start is not None and end > start)):
                batches[tp] = FetchedBatches(records.get(tp, ()), start, end, consumer.last_stable_offset(tp) or end)
        return batches

    async def seek_back(self, tp: TP, position: int) -> None:
        """Seek a partition if it is still assigned, and wait until that is done."""

        async def seek(consumer: AIOKafkaConsumer) -> None:
            if tp in consumer.assignment():
                consumer.seek(TopicPartition(*tp), position)

        await self.call_thread(seek, self._ensure_consumer())

    async def seek_to_commits(self, partitions: Iterable[TP]) -> dict[TP, int]:
        """Seek to the committed offsets, or without one to the oldest record if the offset reset policy is "earliest".

        Returns:
            The new positions. Partitions without a commit are left out under any other policy.
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
        # Other requests to a broker queue behind a fetch that waits for records: Faust's 1.5 s is too long for them.
        consumer._fetch_max_wait_ms = self.app.limits.batch_wait_ms
        consumer._fetch_min_bytes = _FETCH_MIN_BYTES
        consumer._isolation_level = READ_COMMITTED  # Faust uses this level only with its own transactions
        return consumer

    @staticmethod
    def _set_fetch_thresholds(consumer: AIOKafkaConsumer, min_bytes: int, max_wait_ms: int) -> None:
        """Set the thresholds of the next fetches: each costs a millisecond, even if it returns nothing."""
        fetcher: Any = consumer._fetcher
        fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms = min_bytes, max_wait_ms

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        consumer = self._ensure_consumer()
        assignment = consumer.assignment()
        owned_offsets = {TopicPartition(*tp): offset for tp, offset in offsets.items() if tp in assignment}
        try:
            # The client retries transient errors (coordinator or leader moved) without end: hence the timeout.
            await asyncio.wait_for(consumer.commit(owned_offsets), self.app.conf.broker_request_timeout)
        except (CommitFailedError, IllegalStateError) as error:
            self.log.info("Commit refused, the group has rebalanced: %s", error)
            return False
        except (KafkaError, TimeoutError) as error:
            if isinstance(error, KafkaError) and not error.retriable:
                await self.crash(error)
            self.log.warning("Commit failed and will be retried: %r", error)
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
