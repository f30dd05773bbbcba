"""Publisher of records to their topics.

    produce ──▶ buffer ──▶ broker     in order and without gaps; flush raises if any record is lost
    publish, publish_at ──▶ broker    the caller waits for the acknowledgement

A record that is too large or does not fit its schema can never be written, which is not a failure of the broker:
`produce` sends it to the dead-letter topic, and the records of other keys continue. Any other loss makes `flush` raise
until the process ends, for all callers: the events that depended on the lost record must never be acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Any, Protocol

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from infra import clock
from infra.kafka.admin.cluster import message_limits
from infra.kafka.admin.provision import broker_topics
from infra.kafka.dead_letter_size import fit_to_topic
from infra.kafka.registry import Registry
from schemas.types import DeadLetter
from topics import TOPICS, Topic
from topics.topic import DEAD_LETTERS, MIB

TOO_LARGE, UNWRITABLE = "too_large", "unwritable"
"""Reasons of dead letters for records that can never be written: too large for their topic, or not encodable."""
_POLL_S = 0.05
_BY_KEY = -1
"""Partition number that leaves the choice of partition to the key."""
_HIGH_WATER = 200_000
"""Number of buffered messages above which `wait_for_capacity` waits."""
_LARGEST = 2 * MIB
"""Maximum size of a message for the client library, regardless of the topic's own limit."""
_BATCH_BYTES = 1_000_000
_OVERHEAD_BYTES = 256
"""Size of a batch of one message without the message itself."""
_CLOSING_S = 1.0
"""Maximum duration of closing after a loss: the process should restart soon."""
_LETTER_EVERY_S = 60.0
"""Minimum time between two dead letters for the same key."""
_LETTERS = 10_000
"""Maximum number of keys whose last dead letter is remembered."""
_LOG = logging.getLogger(__name__)


class PublishError(RuntimeError):
    """The broker did not acknowledge a record in time."""

    def __init__(self, topic: str, cause: str) -> None:
        self.topic, self.cause = topic, cause
        super().__init__(f"{topic}: not acknowledged by the broker: {cause}")


class RecordTooLargeError(ValueError):
    """A record is larger than its topic accepts. Sending it again does not help."""

    def __init__(self, topic: str, key: bytes | None, size: int, limit: int) -> None:
        self.topic, self.key, self.size, self.limit = topic, key, size, limit
        super().__init__(f"{topic}: the record of {_printable_key(key)} has {size} bytes, {limit} are taken")


class RecordPublisher(Protocol):
    """A publisher that returns once the broker has acknowledged the records."""

    async def publish(self, topic: Topic, values: Sequence[msgspec.Struct]) -> Mapping[int, int]:
        """Publish records to one topic; return the last offset of each partition.

        Raises:
            PublishError: the broker did not acknowledge them in time.
            RecordTooLargeError: one of them is larger than the topic accepts; none was sent.
        """
        ...


class _ProducerLane:
    """A librdkafka producer and the thread that serves its delivery reports."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self._closing = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="publisher", daemon=True)
        self._poller.start()

    def close(self, timeout_s: float, *, purge: bool) -> None:
        """Deliver the buffered messages, or discard them with `purge`, and stop."""
        if purge:
            self.producer.purge()
        self.producer.flush(timeout_s)
        self._closing.set()
        self._poller.join()

    def _poll(self) -> None:
        while not self._closing.is_set():
            self.producer.poll(_POLL_S)


class Publisher:
    """Publishes records as framed Avro, keyed and partitioned as in Java, aiokafka and Faust (murmur2).

    There are two producers: `produce` requests delivery reports for failures only, which saves a call per message;
    `publish` requests all of them, since its caller waits.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        registry: Registry,
        *,
        timeout_s: float = 30.0,
        linger_ms: int = 5,
        limits: Mapping[str, int] | None = None,
        new_producer: Callable[[dict[str, Any]], Producer] = Producer,
    ) -> None:
        """Configure a publisher; it connects at the first record.

        Args:
            bootstrap_servers: Brokers, as comma-separated host:port.
            registry: Provides the codec of each record type.
            timeout_s: Maximum wait for the acknowledgement of a message, in seconds.
            linger_ms: How long a message waits for others to share its batch, in ms.
            limits: Maximum message size of each topic in bytes; by default the limits that topics are created with.
            new_producer: Creates a client from its configuration.
        """
        self._registry = registry
        self._timeout_s = timeout_s
        self._limits = {topic.name: topic.max_message_bytes for topic in TOPICS} | dict(limits or {})
        self._new_producer = new_producer
        self._failure: PublishError | None = None
        self._letters_s: dict[tuple[str, bytes | None], float] = {}
        """Time of the last dead letter by topic and key, in seconds of the monotonic clock."""
        self.rejected_counts: Counter[str] = Counter()
        """Number of records that can never be written, by topic."""
        self._config: dict[str, Any] = {
            "bootstrap.servers": bootstrap_servers,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "linger.ms": linger_ms,
            "compression.type": "lz4",
            "message.max.bytes": _LARGEST,
            # The broker refuses a batch as a whole, so no batch may be larger than the smallest limit of a topic.
            "batch.size": min(_BATCH_BYTES, min(self._limits.values()) - _OVERHEAD_BYTES),
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 512 << 10,
            "log_level": 2,
        }
        self._lanes: list[_ProducerLane] = []

    @cached_property
    def _producing(self) -> Producer:
        # No message may overtake a lost one: a consumer that has read the later message would take the earlier one,
        # produced again after a restart, for a duplicate. So messages never expire, and none is sent after a failure.
        return self._open(
            {"delivery.report.only.error": True, "message.timeout.ms": 0, "enable.gapless.guarantee": True}
        )

    @cached_property
    def _publishing(self) -> Producer:
        return self._open({"message.timeout.ms": int(self._timeout_s * 1000)})

    def _open(self, more: dict[str, Any]) -> Producer:
        lane = _ProducerLane(self._new_producer(self._config | more))
        self._lanes.append(lane)
        return lane.producer

    def produce(self, topic: Topic, value: msgspec.Struct, *, headers: dict[str, bytes] | None = None) -> None:
        """Buffer a record; `flush` raises if it is lost. A record that can never be written is rejected.

        Raises:
            PublishError: see `produce_bytes`.
        """
        key, data = topic.key_of(value), None
        try:
            data = self._registry.codec(topic.record).encode(value)
            self.produce_bytes(topic, key, data, headers=headers)
        except (ValueError, TypeError, OverflowError) as error:
            self.reject(topic.name, key, error, value=data)

    def produce_bytes(
        self, topic: Topic | str, key: bytes | None, value: bytes | None, *, headers: dict[str, bytes] | None = None
    ) -> None:
        """Buffer a message unchanged, once there is room.

        Raises:
            RecordTooLargeError: the message can never be written.
            PublishError: the buffer stayed full for the whole timeout; this counts as a lost message.
        """
        name = topic if isinstance(topic, str) else topic.name
        self.check_size(name, key, value, headers)
        until_s = time.monotonic() + self._timeout_s
        while True:
            try:
                self._producing.produce(name, value, key, headers=headers, on_delivery=self._delivered)
                return
            except (BufferError, KafkaException) as error:
                if not isinstance(error, BufferError) or time.monotonic() > until_s:
                    self.fail(error, topic=name)
                    raise PublishError(name, str(error)) from error
                self._producing.poll(_POLL_S)

    def reject(self, topic: str, key: bytes | None, error: Exception, *, value: bytes | None = None) -> None:
        """Write a dead letter for a record that can never be written.

        There is one dead letter per key. It is written at most once a minute.

        Args:
            topic: Topic of the record.
            key: Its key.
            error: Why it cannot be written.
            value: Its bytes, if it could be encoded.
        """
        self.rejected_counts[topic] += 1
        now_s, name = time.monotonic(), (topic, key)
        if now_s - self._letters_s.get(name, -_LETTER_EVERY_S) < _LETTER_EVERY_S:
            return
        self._letters_s[name] = now_s
        if len(self._letters_s) > _LETTERS:
            del self._letters_s[next(iter(self._letters_s))]
        _LOG.error(
            "%s: the record of %s cannot be written and becomes a dead letter: %s", topic, _printable_key(key), error
        )
        if topic != DEAD_LETTERS.name:
            self.produce(DEAD_LETTERS, fit_to_topic(_letter(topic, key, error, value)))

    def check_size(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Mapping[str, bytes] | None = None
    ) -> None:
        """Check that a topic accepts a message of this size.

        Args:
            topic: Name of the topic.
            key: Key of the message.
            value: Its value.
            headers: Its headers.

        Raises:
            RecordTooLargeError: it does not.
        """
        size = len(key or b"") + len(value or b"") + _OVERHEAD_BYTES
        if headers:
            size += sum(len(name) + len(header) for name, header in headers.items())
        limit = min(self._limits.get(topic, MIB), _LARGEST)
        if size > limit:
            raise RecordTooLargeError(topic, key, size, limit)

    def fail(self, error: BaseException, *, topic: str = "all topics") -> None:
        """Make `flush` raise from now on: outputs that events depend on are missing."""
        if self._failure is None:
            self._failure = PublishError(topic, f"{type(error).__name__}: {error}")

    def describe(self) -> dict[str, Any]:
        """Return the publisher's part of a heartbeat."""
        return {"rejected": dict(self.rejected_counts)}

    async def wait_for_capacity(self) -> None:
        """Wait until the buffer has room, as backpressure for callers that are faster than the broker.

        Raises:
            PublishError: the buffer stayed full for the whole timeout.
        """
        until_s = time.monotonic() + self._timeout_s
        while len(self._producing) > _HIGH_WATER:
            if time.monotonic() > until_s:
                self.fail(TimeoutError("the buffer stayed full"))
            self._raise_failure()
            await asyncio.sleep(_POLL_S)

    async def flush(self) -> None:
        """Wait until every buffered record is acknowledged.

        Raises:
            PublishError: a record is lost, now or earlier. The events that depended on it are unknown, so no
                checkpoint of this process may acknowledge any event after that.
        """
        if self._failure is None and len(self._producing):
            pending_count = await asyncio.to_thread(self._producing.flush, self._timeout_s + 1)
            if pending_count:
                self.fail(TimeoutError(f"{pending_count} records are still waiting"))
        self._raise_failure()

    async def publish(self, topic: Topic, values: Sequence[msgspec.Struct]) -> Mapping[int, int]:
        """Publish records; return the last offset of each partition once the broker has acknowledged all of them.

        Raises:
            PublishError: the timeout has passed; some of the records may have arrived all the same.
            RecordTooLargeError: one of them is larger than the topic accepts; none was sent.
        """
        codec = self._registry.codec(topic.record)
        messages = [(_BY_KEY, topic.key_of(value), codec.encode(value)) for value in values]
        for _, key, data in messages:
            self.check_size(topic.name, key, data)
        return await self._deliver(topic.name, messages)

    async def publish_at(
        self, topic: str, messages: Mapping[int, Sequence[tuple[bytes, bytes | None]]]
    ) -> dict[int, int]:
        """Publish (key, value) pairs to partitions; return the last offset of each partition once all are acknowledged.

        The value None deletes a key.

        A pair that is too large is rejected, and its dead letter is acknowledged, too, before the others are sent.

        Raises:
            PublishError: see `publish`.
        """
        rejected_count = self.rejected_counts[topic]
        fitting: list[tuple[int, bytes, bytes | None]] = []
        for partition, pairs in messages.items():
            for key, value in pairs:
                try:
                    self.check_size(topic, key, value)
                    fitting.append((partition, key, value))
                except RecordTooLargeError as error:
                    self.reject(topic, key, error, value=value)
        if self.rejected_counts[topic] > rejected_count:
            await self.flush()
        return await self._deliver(topic, fitting)

    async def _deliver(self, topic: str, messages: Sequence[tuple[int, bytes | None, bytes | None]]) -> dict[int, int]:
        loop = asyncio.get_running_loop()
        completion: asyncio.Future[None] = loop.create_future()
        pending_count = len(messages)
        failure: PublishError | None = None
        last: dict[int, int] = {}

        def delivered(error: Any, message: Message) -> None:
            nonlocal pending_count, failure
            pending_count -= 1
            if error is not None:
                failure = PublishError(topic, str(error))
            else:
                last[message.partition()] = message.offset()
            if not pending_count:
                loop.call_soon_threadsafe(_settle, completion, failure)

        try:
            for partition, key, value in messages:
                self._publishing.produce(topic, value, key, partition, on_delivery=delivered)
        except (BufferError, KafkaException) as error:
            raise PublishError(topic, str(error)) from error
        if messages:
            await completion
        return last

    async def close(self) -> None:
        """Deliver buffered messages and stop; after a loss, discard them: the next process produces them again."""
        purge = self._failure is not None
        for lane in self._lanes:
            await asyncio.to_thread(lane.close, _CLOSING_S if purge else self._timeout_s, purge=purge)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise PublishError(self._failure.topic, self._failure.cause)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.fail(KafkaException(error), topic=message.topic() or "")


async def open_publisher(bootstrap_servers: str, registry: Registry, *, timeout_s: float = 30.0) -> Publisher:
    """Return a publisher with the maximum message sizes that the broker reports for the topics.

    Topics may have been altered, or created by others.
    """
    names = [topic.name for topic in broker_topics()]
    limits = await asyncio.to_thread(message_limits, bootstrap_servers, names)
    return Publisher(bootstrap_servers, registry, timeout_s=timeout_s, limits=limits)


def _settle(completion: asyncio.Future[None], failure: PublishError | None) -> None:
    if completion.done():
        return
    if failure is None:
        completion.set_result(None)
    else:
        completion.set_exception(failure)


def _letter(topic: str, key: bytes | None, error: Exception, value: bytes | None) -> DeadLetter:
    """Return the dead letter of a record that was never written to its topic."""
    too_large = isinstance(error, RecordTooLargeError)
    return DeadLetter(
        letter_id=f"{topic}-{blake2b(key or b'', digest_size=8).hexdigest()}",
        topic=topic,
        partition=-1,
        offset=-1,
        timestamp=0,
        key=key,
        value=value,
        stage="publish",
        reason=TOO_LARGE if too_large else UNWRITABLE,
        detail=str(error) if too_large else f"{type(error).__name__}: {error}",
        failed_at=clock.now_ms(),
    )


def _printable_key(key: bytes | None) -> str:
    """Return the beginning of a key in printable form."""
    return repr((key or b"")[:200].decode(errors="replace"))
