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


@dataclass(frozen=True, slots=True)
class Fetch:
    """What one fetch brought of one partition."""

    records: Sequence[ConsumerRecord]
    start: int | None
    """Position before the fetch; None while the broker was setting it."""
    end: int
    """Position after it, which may be past the last record: compacted offsets, control records."""
    highwater: int


class _DaemonThread(WorkerThread):  # type: ignore[misc]
    """A thread that does not keep a crashed worker's process alive."""

    def __init__(self, service: Any, **kwargs: Any) -> None:
        super().__init__(service, **kwargs)
        self.daemon = True


class ClientThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's client thread, with fetches that say where they started and commits that do not crash the worker."""

    Worker = _DaemonThread

    async def fetch(self, partitions: set[TP], *, wait_s: float) -> dict[TP, Fetch]:
        """Return what is there of the given partitions, waiting a while for the first records."""
        found: dict[TP, Fetch] = await self.call_thread(self._fetch, self._ensure_consumer(), partitions, wait_s)
        return found

    async def _fetch(self, consumer: AIOKafkaConsumer, partitions: set[TP], wait_s: float) -> dict[TP, Fetch]:
        starts = _positions(consumer, partitions)
        records = await self._fetch_records(consumer, partitions, timeout=wait_s, max_records=None)
        ends = _positions(consumer, partitions)
        found = {}
        for tp in partitions:
            start, end = starts.get(tp), ends.get(tp)
            if end is not None and (tp in records or (start is not None and end > start)):
                found[tp] = Fetch(records.get(tp, ()), start, end, consumer.highwater(tp) or end)
        return found

    async def seek_back(self, tp: TP, position: int) -> None:
        """Seek a partition that is still assigned; returns when it is done."""

        async def seek(consumer: AIOKafkaConsumer) -> None:
            if tp in consumer.assignment():
                consumer.seek(TopicPartition(*tp), position)

        await self.call_thread(seek, self._ensure_consumer())

    async def seek_to_start(self, partitions: Iterable[TP]) -> dict[TP, int]:
        """Seek to the oldest records and return the new positions."""

        async def seek(consumer: AIOKafkaConsumer) -> dict[TP, int]:
            tps = [TopicPartition(*tp) for tp in partitions]
            await consumer.seek_to_beginning(*tps)
            return {TP(*tp): await consumer.position(tp) for tp in tps}

        found: dict[TP, int] = await self.call_thread(seek, self._ensure_consumer())
        return found

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        kept = {TopicPartition(*tp): offset for tp, offset in offsets.items() if tp in assigned}
        try:
            # The client retries what may pass (coordinator or leader moved) without end: hence the limit.
            await asyncio.wait_for(consumer.commit(kept), self.app.conf.broker_request_timeout)
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
    found = {}
    for tp in partitions:
        if tp in assignment.tps:
            state = assignment.state_value(tp)
            if state is not None and state.has_valid_position:
                found[tp] = state.position
    return found
