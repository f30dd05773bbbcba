"""A broker in memory under the real publisher, agents and checkpoints, with faults wherever a test wants them."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from confluent_kafka import KafkaError

from infra.erasure.erasure_index import ErasureIndex
from infra.kafka.partition import partition_of
from infra.kafka.publisher import Publisher
from infra.settings import Settings
from models.blend.blender import Blender
from schemas.codec import Codec
from schemas.types import ErasureRequest
from streams.agents.agent_context import AgentContext
from streams.agents.exposures import ExposureRecorder
from streams.agents.outcomes import OutcomeRecorder
from streams.agents.signal import INPUT_TOPICS as SIGNAL_TOPICS
from streams.agents.signal import SignalAgent
from streams.agents.user import INPUT_TOPICS as USER_TOPICS
from streams.agents.user import UserAgent
from streams.core.experiments.experiment_table import ExperimentTable
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import new_blender
from streams.core.triggers.active_users import ActiveUsers
from streams.runtime.core_params import signal_params, user_params
from streams.runtime.dead_letter_queue import DeadLetterQueue
from streams.runtime.faust_role import batch_limits
from streams.transport import Batch, Limits
from streams.transport.ledger import InFlightBatch, OffsetTracker
from tests.build import T0_MS
from topics import TOPICS, Topic
from topics.topic import PARTITIONS

BATCH = 2
Place = tuple[str, int]
Headers = dict[str, bytes]


@dataclass(frozen=True)
class Record:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


class Codecs:
    """The registry's part that agents need."""

    def __init__(self) -> None:
        self._codecs = {topic.record: Codec(topic.record, number) for number, topic in enumerate(TOPICS, 1)}

    def codec(self, record: Any) -> Any:
        return self._codecs[record]


@dataclass
class Broker:
    """The logs, what groups have committed, and which of the messages to come are lost."""

    logs: dict[Place, list[Record]] = field(default_factory=lambda: defaultdict(list))
    committed_offsets: dict[tuple[str, Place], int] = field(default_factory=dict)
    lost_writes: set[int] = field(default_factory=set)
    """Numbers of messages, in the order in which they are sent, that the broker does not take from that producer."""
    refuses: bool = False
    """Whether it refuses those, and does not only leave them without an answer."""
    write_count: int = 0

    def append(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers | None = None
    ) -> int:
        log, at_ms = self.logs[topic, partition], T0_MS + sum(map(len, self.logs.values()))
        log.append(Record(topic, partition, len(log), key, value, at_ms, tuple((headers or {}).items())))
        return log[-1].offset

    def newest(self, topic: Topic) -> dict[str, Any]:
        """Return the newest record of each key."""
        codec = Codecs().codec(topic.record)
        records = (record for (name, _), log in sorted(self.logs.items()) if name == topic.name for record in log)
        return {(record.key or b"").decode(): codec.decode(record.value) for record in records}

    def values(self, topic: Topic) -> list[Any]:
        """Return the records of a topic, by partition and offset."""
        codec = Codecs().codec(topic.record)
        logs = (log for (name, _), log in sorted(self.logs.items()) if name == topic.name)
        return [codec.decode(record.value) for log in logs for record in log]

    def producer(self, config: dict[str, Any]) -> Any:
        return Producer(self, waits=bool(config.get("delivery.report.only.error")))


class Producer:
    """The client library: what is produced waits for a flush, or is delivered at once."""

    def __init__(self, broker: Broker, *, waits: bool) -> None:
        self._broker, self._waits, self._is_stuck = broker, waits, False
        self._waiting: list[tuple[str, int, bytes | None, bytes | None, Headers | None, Callable[..., None]]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int = -1,
        *,
        on_delivery: Callable[..., None],
        headers: Headers | None = None,
    ) -> None:
        partition = partition_of(key or b"", PARTITIONS) if partition < 0 else partition
        self._waiting.append((topic, partition, key, value, headers, on_delivery))
        if not self._waits:
            self.flush(0.0)

    def flush(self, _timeout_s: float) -> int:
        """Deliver what waits. Where messages are waited for without end, none overtakes one that is not taken."""
        while self._waiting:
            topic, partition, key, value, headers, on_delivery = self._waiting[0]
            if not self._is_stuck:
                number, self._broker.write_count = self._broker.write_count, self._broker.write_count + 1
                if number not in self._broker.lost_writes:
                    offset = self._broker.append(topic, partition, key, value, headers)
                    if not self._waits:
                        on_delivery(None, Delivered(topic, partition, offset))
                    del self._waiting[0]
                    continue
                self._is_stuck = self._waits
            if self._waits and not self._broker.refuses:
                return len(self._waiting)
            on_delivery(KafkaError(KafkaError._FATAL), Delivered(topic, partition, -1))
            del self._waiting[0]
        return 0

    def poll(self, _timeout_s: float) -> int:
        time.sleep(0.001)
        return 0

    def purge(self) -> None:
        self._waiting.clear()


@dataclass(frozen=True)
class Delivered:
    of_topic: str
    of_partition: int
    at: int

    def topic(self) -> str:
        return self.of_topic

    def partition(self) -> int:
        return self.of_partition

    def offset(self) -> int:
        return self.at


class Table(dict[bytes, bytes]):
    """A table that was restored from its changelog."""

    app = SimpleNamespace(conf=SimpleNamespace(store=SimpleNamespace(scheme="memory")))

    def __init__(self, broker: Broker, name: str) -> None:
        self.changelog_topic_name = f"{name}-changelog"
        self.data = self
        for (topic, _), log in broker.logs.items():
            if topic == self.changelog_topic_name:
                for record in log:
                    self.pop(cast(bytes, record.key), None)
                    if record.value is not None:
                        self[cast(bytes, record.key)] = record.value

    def set_persisted_offset(self, tp: Any, offset: int) -> None:
        pass


@dataclass
class App:
    limits: Limits = field(default_factory=lambda: batch_limits(Settings()))
    ledger: OffsetTracker[Any] = field(default_factory=OffsetTracker)

    @property
    def consumer(self) -> App:
        return self

    def process(self, event: Any) -> None:
        self.ledger.process(event.message.in_flight_batch)
        event.value.free()

    def processed_share(self, tp: Any) -> float:
        return self.ledger.load(tp).processed_records / self.limits.max_processed_records

    def is_live(self, event: Any) -> bool:
        return self.ledger.is_live(getattr(event, "message", event).in_flight_batch)


@dataclass
class Message:
    in_flight_batch: InFlightBatch[Any]
    tp: Place

    @property
    def topic(self) -> str:
        return self.tp[0]

    @property
    def partition(self) -> int:
        return self.tp[1]


class Event:
    """A batch as an agent gets it."""

    def __init__(self, app: App, message: Message, value: Batch) -> None:
        self.app, self.message, self.value = app, message, value

    def ack(self) -> None:
        self.app.ledger.acknowledge(self.message.in_flight_batch)


class Ranked:
    """A ranker whose feeds are written at once, or when the test says so."""

    def __init__(self) -> None:
        self.is_slow = False
        self.users: list[str] = []
        self._releases: list[Callable[[], None]] = []

    def put(self, release: Callable[[], None], users: Mapping[str, Any]) -> None:
        self.users += users
        self._releases.append(release)
        if not self.is_slow:
            self.write()

    async def forget(self, versions: Mapping[str, int]) -> None:
        """Do nothing: no feed is ever being written."""

    def write(self) -> None:
        while self._releases:
            self._releases.pop()()

    def drop(self) -> None:
        self._releases.clear()


class Ready:
    """A view that has caught up."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.ready.set()


class Reader:
    """One agent's group: what it has read, and what it may commit."""

    def __init__(self, name: str, agent: Any, sources: Any, broker: Broker, app: App) -> None:
        self.name, self.agent, self.broker, self.app = name, agent, broker, app
        self.places: list[Place] = [(topic.name, number) for topic in sources for number in range(PARTITIONS)]
        self._positions: dict[Place, int] = {}
        self.start()

    def start(self) -> None:
        """Begin where the group has committed to, as after a rebalance; what was out is void."""
        for place in self.places:
            self.app.ledger.start(place)
            self._positions[place] = self.broker.committed_offsets.get((self.name, place), 0)
        self.agent.drop()

    async def read(self) -> bool:
        """Hand one batch to the agent; say whether there was any."""
        for place in self.places:
            start = self._positions[place]
            records = self.broker.logs[place][start : start + BATCH]
            if records:
                end = self._positions[place] = start + len(records)
                in_flight_batch = self.app.ledger.deliver(place, end, records=len(records), size_bytes=1)
                event = Event(self.app, Message(in_flight_batch, place), Batch(*place, records))
                await self.agent.process(event)
                return True
        return False

    def commit(self) -> None:
        for place in self.places:
            offset = self.app.ledger.committable(place)
            if offset is not None:
                self.broker.committed_offsets[self.name, place] = offset


class CountingEraser:
    """Erases nothing, and keeps what it was told that others erased."""

    def __init__(self) -> None:
        self.counts: dict[str, dict[str, int]] = {}

    async def erase(self, request: ErasureRequest, counts: Mapping[str, int]) -> None:
        """Keep the counts of a request."""
        self.counts[request.user_id] = dict(counts)


class Worker:
    """The user agent and the signal agent of one process, which share a publisher."""

    def __init__(
        self, broker: Broker, *, erasures: ErasureIndex | None = None, settings: Settings | None = None
    ) -> None:
        settings, registry, app = settings or Settings(), cast(Any, Codecs()), cast(Any, App())
        self.erasures = ErasureIndex(None) if erasures is None else erasures
        self.eraser = CountingEraser()
        self.publisher = Publisher("", registry, new_producer=cast(Any, broker.producer))
        dead_letters = DeadLetterQueue(self.publisher, now_ms=lambda: T0_MS)
        blender: Blender = new_blender()
        context = AgentContext(
            app,
            settings,
            registry,
            self.publisher,
            dead_letters,
            self.erasures,
            CatalogSnapshot(),
            blender,
            cast(Any, Ready()),
            lambda: T0_MS,
        )
        params = user_params(settings)
        self.ranker, self.exposures = Ranked(), ExposureRecorder(self.publisher, ExperimentTable())
        users = UserAgent(
            context,
            Table(broker, "users"),
            params,
            active_users=ActiveUsers(params.triggers),
            ranker=cast(Any, self.ranker),
            outcomes=OutcomeRecorder(self.publisher, rating_scale=params.rating_scale, now_ms=lambda: T0_MS),
            exposures=self.exposures,
            eraser=self.eraser,
        )
        items = SignalAgent(context, Table(broker, "items"), signal_params(settings))
        self.readers = [
            Reader("users", users, USER_TOPICS, broker, app),
            Reader("items", items, SIGNAL_TOPICS, broker, app),
        ]

    async def crash(self) -> None:
        """End as a process does whose app has crashed: every agent is let finish, what may be is committed."""
        for reader in self.readers:
            with suppress(Exception):
                await reader.agent.checkpoint.force()
        for reader in self.readers:
            reader.commit()
        await self.publisher.close()


class Stepped:
    """A coroutine that meets a fault when it goes on after its n-th await."""

    def __init__(
        self, coroutine: Coroutine[Any, Any, None], at: int, fault: Callable[[], BaseException | None]
    ) -> None:
        self._coroutine, self._at, self._fault = coroutine, at, fault
        self.is_reached = False

    def __await__(self) -> Generator[Any, Any, None]:
        step = 0
        action: Callable[[], Any] = lambda: self._coroutine.send(None)  # noqa: E731
        while True:
            if step == self._at:
                self.is_reached = True
                error = self._fault()
                if error is not None:
                    action = lambda error=error: self._coroutine.throw(error)  # type: ignore[misc] # noqa: E731
            try:
                waits_for = action()
            except StopIteration:
                return
            step += 1
            yield waits_for
            action = lambda: self._coroutine.send(None)  # noqa: E731
