"""Publishing records to their topics."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import msgspec
from confluent_kafka import KafkaException, Message, Producer

from infra.registry import Registry
from topics import Topic
from topics.topic import MIB

_POLL_S = 0.05
_BY_KEY = -1
"""The partition of messages that go where their key says."""
_HIGH_WATER = 200_000
"""Messages in the buffer past which `room` waits."""


class PublishError(RuntimeError):
    """The broker did not take a record in time."""

    def __init__(self, topic: str, cause: str) -> None:
        self.topic, self.cause = topic, cause
        super().__init__(f"{topic}: not acknowledged by the broker: {cause}")


class Publishes(Protocol):
    """Publishes records and returns once the broker has acknowledged them, or raises PublishError."""

    async def publish(self, topic: Topic, values: Sequence[msgspec.Struct]) -> None:
        """Publish records to one topic."""
        ...


class _Lane:
    """A librdkafka producer and the thread that serves its delivery reports."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.producer = Producer(config)
        self._closing = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="publisher", daemon=True)
        self._poller.start()

    def close(self, timeout_s: float) -> None:
        """Deliver what is buffered and stop."""
        self.producer.flush(timeout_s)
        self._closing.set()
        self._poller.join()

    def _poll(self) -> None:
        while not self._closing.is_set():
            self.producer.poll(_POLL_S)


class Publisher:
    """Publishes records as framed Avro, keyed and partitioned as Java, aiokafka and Faust do (murmur2).

    There are two lanes: what is produced is reported on only when it fails, which spares a call per message; what is
    published is reported on either way, as somebody waits for it.
    """

    def __init__(
        self, bootstrap_servers: str, registry: Registry, *, timeout_s: float = 30.0, linger_ms: int = 5
    ) -> None:
        self._registry = registry
        self._timeout_s = timeout_s
        self._failures: list[PublishError] = []
        self._config: dict[str, Any] = {
            "bootstrap.servers": bootstrap_servers,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "linger.ms": linger_ms,
            "message.timeout.ms": int(timeout_s * 1000),
            "compression.type": "lz4",
            "message.max.bytes": 2 * MIB,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 512 << 10,
            "log_level": 2,
        }
        self._lanes: list[_Lane] = []

    @cached_property
    def _producing(self) -> Producer:
        return self._open({"delivery.report.only.error": True})

    @cached_property
    def _publishing(self) -> Producer:
        return self._open({})

    def _open(self, more: dict[str, Any]) -> Producer:
        lane = _Lane(self._config | more)
        self._lanes.append(lane)
        return lane.producer

    def produce(self, topic: Topic, value: msgspec.Struct, *, headers: dict[str, bytes] | None = None) -> None:
        """Buffer a record; `flush` says whether it arrived."""
        self.produce_bytes(
            topic, topic.key_of(value), self._registry.codec(topic.record).encode(value), headers=headers
        )

    def produce_bytes(
        self, topic: Topic | str, key: bytes | None, value: bytes | None, *, headers: dict[str, bytes] | None = None
    ) -> None:
        """Buffer a message as it is."""
        name = topic if isinstance(topic, str) else topic.name
        self._producing.produce(name, value, key, headers=headers, on_delivery=self._delivered)

    async def room(self) -> None:
        """Wait until the buffer has room, so that a fast caller cannot outrun the broker without bound."""
        while len(self._producing) > _HIGH_WATER:  # noqa: ASYNC110 - librdkafka has no event for this
            await asyncio.sleep(_POLL_S)

    async def flush(self) -> None:
        """Wait until every buffered record is acknowledged.

        Raises:
            PublishError: at least one was not; the first is raised and all are forgotten.
        """
        if len(self._producing):
            left = await asyncio.to_thread(self._producing.flush, self._timeout_s + 1)
            if left:
                raise PublishError("all topics", f"{left} records are still waiting")
        if self._failures:
            first = self._failures[0]
            self._failures.clear()
            raise first

    async def publish(self, topic: Topic, values: Sequence[msgspec.Struct]) -> None:
        """Publish records and return once the broker has acknowledged all of them.

        Raises:
            PublishError: it did not within the timeout; some of them may have arrived all the same.
        """
        codec = self._registry.codec(topic.record)
        await self._deliver(topic.name, [(_BY_KEY, topic.key_of(value), codec.encode(value)) for value in values])

    async def publish_at(self, topic: str, messages: Mapping[int, Sequence[tuple[bytes, bytes]]]) -> dict[int, int]:
        """Publish (key, value) pairs to given partitions; return the offset of each one's last, once all are there.

        Raises:
            PublishError: as `publish`.
        """
        return await self._deliver(
            topic, [(partition, key, value) for partition, pairs in messages.items() for key, value in pairs]
        )

    async def _deliver(self, topic: str, messages: Sequence[tuple[int, bytes | None, bytes]]) -> dict[int, int]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        left = len(messages)
        failure: PublishError | None = None
        last: dict[int, int] = {}

        def delivered(error: Any, message: Message) -> None:
            nonlocal left, failure
            left -= 1
            if error is not None:
                failure = PublishError(topic, str(error))
            else:
                last[message.partition()] = message.offset()
            if not left:
                loop.call_soon_threadsafe(_settle, done, failure)

        try:
            for partition, key, value in messages:
                self._publishing.produce(topic, value, key, partition, on_delivery=delivered)
        except (BufferError, KafkaException) as error:
            raise PublishError(topic, str(error)) from error
        if messages:
            await done
        return last

    async def close(self) -> None:
        """Deliver what is buffered and stop."""
        for lane in self._lanes:
            await asyncio.to_thread(lane.close, self._timeout_s)

    def _delivered(self, error: Any, message: Message) -> None:
        if error is not None:
            self._failures.append(PublishError(message.topic() or "", str(error)))


def _settle(done: asyncio.Future[None], failure: PublishError | None) -> None:
    if done.done():
        return
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)
