"""What the transport reads and commits, with the app in the test's own process."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import faust
import pytest
from aiokafka import ConsumerRecord
from confluent_kafka import OFFSET_INVALID, TopicPartition
from confluent_kafka.admin import AdminClient
from faust.types import TP

from infra.settings import Settings
from streams.runtime.faust_role import batch_limits
from streams.transport import App, InFlight, Limits, StaleEventError, as_current, batch_topic, faust_app, run
from tests.pipeline.transport.transport_fleet import PARTITIONS, Stack, committed, create_topics, ends, producer

LIMITS = batch_limits(Settings())


@dataclass
class Reader:
    """A running app that holds every event it reads."""

    app: App
    events: list[faust.Event]
    others: list[faust.Event]
    """The events of another agent on the same topic, if there is one."""

    @property
    def records(self) -> list[ConsumerRecord]:
        return [record for event in self.events for record in event.value]

    def acknowledge(self) -> int:
        """Acknowledge everything held and return how many of the events counted."""
        return sum([event.ack() for event in self.events])


@asynccontextmanager
async def reading(
    servers: str, group: str, topic: str, home: Path, *, limits: Limits = LIMITS, table: bool = False, agents: int = 1
) -> AsyncIterator[Reader]:
    app = faust_app(
        group,
        bootstrap_servers=servers,
        datadir=home / uuid.uuid4().hex,
        store="memory",
        limits=limits,
        commit_interval_s=0.1,
    )
    source = batch_topic(app, topic)
    if table:
        app.bytes_table("held", partitions=PARTITIONS)
    reader = Reader(app, [], [])

    @app.agent(source)
    async def hold(stream: faust.Stream) -> None:
        async for event in stream.noack().events():
            reader.events.append(event)

    if agents > 1:

        @app.agent(source)
        async def hold_too(stream: faust.Stream) -> None:
            async for event in stream.noack().events():
                reader.others.append(event)

    stop = asyncio.Event()
    running = asyncio.create_task(run(app, stop))
    try:
        yield reader
    finally:
        stop.set()
        await running


async def until(condition: Callable[[], object], what: str, *, within_s: float = 30) -> None:
    try:
        async with asyncio.timeout(within_s):
            while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - the condition asks a broker
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not within {within_s} s: {what}")


def named(prefix: str) -> tuple[str, str]:
    tag = uuid.uuid4().hex[:8]
    return f"{prefix}-{tag}", f"{prefix}-group-{tag}"


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_every_byte_arrives_whatever_the_codec(stack: Stack, tmp_path: Path, codec: str) -> None:
    servers = stack.kafka_bootstrap_servers
    topic, group = named("bytes")
    create_topics(servers, topic)
    out = producer(servers, **{"compression.type": codec})
    payloads = [
        (b"\xff\xfe not utf-8", b"\x00\x01 binary \xff", [("trace", b"\x00\xff"), ("empty", b"")]),
        (None, b"null key", []),
        (b"null value", None, []),
        (b"", b"", []),
        *[(b"key", b"compressible " * 200, [])] * 50,
    ]
    for key, value, headers in payloads:
        out.produce(topic, value, key, partition=3, headers=headers)
    out.flush()
    async with reading(servers, group, topic, tmp_path) as reader:
        await until(lambda: len(reader.records) >= len(payloads), "all records are read")
        batch = reader.events[0].value
        assert (batch.topic, batch.partition, batch.first_offset) == (topic, 3, 0)
        assert batch.remaining == len(payloads) - len(batch)
    assert [(record.key, record.value, list(record.headers)) for record in reader.records] == payloads


async def test_partition_is_not_fetched_past_what_may_be_unacknowledged(stack: Stack, tmp_path: Path) -> None:
    servers = stack.kafka_bootstrap_servers
    topic, group = named("held")
    create_topics(servers, topic)
    out = producer(servers, **{"batch.num.messages": 10})
    for number in range(2_000):
        out.produce(topic, b"v%d" % number, partition=0)
    out.produce(topic, b"other", partition=1)
    out.flush()
    # One fetch brings all that is there, and may pass the limit; the next is not made.
    limits = replace(LIMITS, batch_records=50, max_in_flight_records=100)
    async with reading(servers, group, topic, tmp_path, limits=limits) as reader:
        await until(lambda: len(reader.records) == 2_001, "both are read")
        for number in range(2_000):
            out.produce(topic, b"w%d" % number, partition=0)
        out.produce(topic, b"more", partition=1)
        out.flush()
        await until(lambda: reader.records[-1].value == b"more", "the partition with room is still fetched")
        assert len(reader.records) == 2_002
        assert reader.app.consumer.load(TP(topic, 0)).records == 2_000
        # What came in the meantime comes in as many fetches as it was written in, each after what was before it.
        await until(lambda: reader.acknowledge() or len(reader.records) == 4_002, "fetched again once acknowledged")
    assert max(len(event.value) for event in reader.events) <= 50


async def test_processed_records_free_their_memory_and_stop_reading_at_a_limit_of_their_own(
    stack: Stack, tmp_path: Path
) -> None:
    servers = stack.kafka_bootstrap_servers
    topic, group = named("processed")
    create_topics(servers, topic)
    out = producer(servers)

    def write(text: bytes) -> None:
        for _ in range(100):
            out.produce(topic, text, partition=0)
        out.flush()

    limits = replace(LIMITS, batch_records=50, max_in_flight_records=100, max_processed_records=200)
    async with reading(servers, group, topic, tmp_path, limits=limits) as reader:
        for text in (b"a", b"b"):
            write(text)
            await until(lambda: len(reader.records) == 100, "a processed partition is fetched again")
            for event in reader.events:
                reader.app.process(event)
            assert not reader.records
        assert reader.app.consumer.load(TP(topic, 0)) == InFlight(len(reader.events), 0, 0, 200)
        assert committed(servers, group, topic)[0] == OFFSET_INVALID, "processed is not acknowledged"
        write(b"c")
        out.produce(topic, b"more", partition=1)
        out.flush()
        await until(lambda: reader.records and reader.records[-1].value == b"more", "the other partition is fetched")
        assert len(reader.records) == 1
        await until(lambda: reader.acknowledge() or len(reader.records) == 101, "fetched again once acknowledged")


async def test_records_are_kept_until_every_agent_has_processed_them(stack: Stack, tmp_path: Path) -> None:
    servers = stack.kafka_bootstrap_servers
    topic, group = named("shared")
    create_topics(servers, topic)
    out = producer(servers)
    for _ in range(100):
        out.produce(topic, b"a", partition=0)
    out.flush()
    async with reading(servers, group, topic, tmp_path, agents=2) as reader:
        await until(lambda: sum(len(event.value) for event in reader.others) == 100, "the other agent has all")
        await until(lambda: len(reader.records) == 100, "the first agent has all")
        for event in reader.events:
            reader.app.process(event)
            event.ack()
        assert sum(len(event.value) for event in reader.others) == 100
        assert reader.app.consumer.load(TP(topic, 0)).records == 100
        for event in reader.others:
            reader.app.process(event)
        assert not any(event.value.records for event in reader.others)
        assert reader.app.consumer.load(TP(topic, 0)) == InFlight(len(reader.others), 0, 0, 100)


async def test_small_batches_of_a_hot_partition_leave_room_for_the_others(stack: Stack, tmp_path: Path) -> None:
    servers = stack.kafka_bootstrap_servers
    topic, group = named("fair")
    create_topics(servers, topic)
    out = producer(servers)
    for number in range(5_000):
        out.produce(topic, b"hot %d" % number, partition=0)
    for partition in range(1, PARTITIONS):
        out.produce(topic, b"cold", partition=partition)
    out.flush()
    async with reading(servers, group, topic, tmp_path, limits=replace(LIMITS, batch_records=100)) as reader:
        await until(lambda: len(reader.records) == 5_000 + PARTITIONS - 1, "all records are read")
    order = [event.value.partition for event in reader.events]
    assert max(order.index(partition) for partition in range(PARTITIONS)) < 2 * PARTITIONS, order


async def test_what_is_held_when_partitions_are_taken_is_read_again(stack: Stack, tmp_path: Path) -> None:
    servers = stack.kafka_bootstrap_servers
    topic, group = named("revoked")
    create_topics(servers, topic)
    create_topics(servers, f"{group}-held-changelog", **{"cleanup.policy": "compact"})
    out = producer(servers)
    for number in range(8_000):
        out.produce(topic, b"%d" % number, b"%d" % number)
    out.flush()
    limits = replace(LIMITS, batch_records=100)
    async with reading(servers, group, topic, tmp_path, limits=limits, table=True) as first:
        await until(lambda: len(first.records) == 8_000, "all records are read")
        names = {}
        for event in [event for event in first.events if event.value.first_offset < 300]:
            assert event.ack()
            names[event.value.partition] = event.value.last_offset + 1
        held_events = [event for event in first.events if event.value.first_offset >= 300]
        first.events = []
        async with reading(servers, group, topic, tmp_path, limits=limits, table=True) as second:
            await until(
                lambda: len(first.records) + len(second.records) == 8_000 - sum(names.values()),
                "what was not acknowledged is read again by both",
            )
            assert {e.value.partition for e in first.events}.isdisjoint({e.value.partition for e in second.events})
            assert second.events
            assert not any(event.ack() for event in held_events), "acknowledged from before the rebalance"
            assert committed(servers, group, topic) == names
            with pytest.raises(StaleEventError), as_current(held_events[0]):
                pytest.fail("a stale event may not write")
            first.acknowledge()
            second.acknowledge()
            await until(lambda: committed(servers, group, topic) == ends(servers, topic), "everything is committed")


async def test_what_is_finished_while_stopping_is_committed(stack: Stack, tmp_path: Path) -> None:
    servers = stack.kafka_bootstrap_servers
    topic, group = named("stopped")
    create_topics(servers, topic)
    out = producer(servers)
    for number in range(1_000):
        out.produce(topic, b"%d" % number, b"%d" % number)
    out.flush()
    async with reading(servers, group, topic, tmp_path) as reader:

        @reader.app.on_drain
        async def finish() -> None:
            reader.acknowledge()

        await until(lambda: len(reader.records) == 1_000, "all records are read")
    assert committed(servers, group, topic) == ends(servers, topic)


async def test_control_records_at_the_end_are_committed_past(stack: Stack, tmp_path: Path) -> None:
    servers = stack.kafka_bootstrap_servers
    topic, group = named("transacted")
    create_topics(servers, topic)
    out = producer(servers, **{"transactional.id": group})
    out.init_transactions(30)
    async with reading(servers, group, topic, tmp_path) as reader:

        def committed_to(offset: int) -> bool:
            return committed(servers, group, topic) == dict.fromkeys(range(PARTITIONS), offset)

        def begin() -> None:
            out.begin_transaction()
            for partition in range(PARTITIONS):
                out.produce(topic, b"in a transaction", partition=partition)
            out.flush()

        begin()
        out.commit_transaction(30)
        await until(lambda: len(reader.records) == PARTITIONS, "the records are read")
        reader.acknowledge()
        await until(lambda: committed_to(2), "the markers are committed past, with their records")
        begin()
        out.abort_transaction(30)
        await until(lambda: committed_to(4), "what was aborted is committed past, on its own")
        begin()
        out.commit_transaction(30)
        await until(lambda: len(reader.records) == 2 * PARTITIONS, "the records are read")
        reader.acknowledge()
        await until(lambda: committed_to(6), "the next ones are committed")


async def test_records_deleted_under_the_reader_are_passed_over(stack: Stack, tmp_path: Path) -> None:
    servers = stack.kafka_bootstrap_servers
    topic, group = named("deleted")
    create_topics(servers, topic)
    out = producer(servers)
    for number in range(200):
        out.produce(topic, b"old %d" % number, partition=0)
    out.flush()
    limits = replace(LIMITS, batch_records=100, max_in_flight_records=200)
    async with reading(servers, group, topic, tmp_path, limits=limits) as reader:
        await until(lambda: len(reader.records) == 200, "the partition is full")
        # More than one fetch holds, so that the client's position is below what is deleted.
        for _ in range(500):
            out.produce(topic, b"lost" * 2_500, partition=0)
        out.flush()
        admin = AdminClient({"bootstrap.servers": servers})
        for deletion in admin.delete_records([TopicPartition(topic, 0, 650)]).values():
            deletion.result(30)
        out.produce(topic, b"new", partition=0)
        out.flush()

        def read_on() -> bool:
            reader.acknowledge()
            return reader.records[-1].value == b"new"

        await until(read_on, "the newest record is read")
        assert 650 in {record.offset for record in reader.records}
        assert len(reader.records) < 701, "some were deleted unread"
        reader.acknowledge()
        await until(lambda: committed(servers, group, topic)[0] == 701, "and committed")


async def test_agent_that_raises_ends_the_app_and_its_records_are_read_again(stack: Stack, tmp_path: Path) -> None:
    servers = stack.kafka_bootstrap_servers
    topic, group = named("raised")
    create_topics(servers, topic)
    out = producer(servers)
    out.produce(topic, b"cursed", partition=0)
    out.flush()
    app = faust_app(
        group,
        bootstrap_servers=servers,
        datadir=tmp_path / "cursed",
        store="memory",
        limits=LIMITS,
        commit_interval_s=1.0,
    )

    @app.agent(batch_topic(app, topic))
    async def raises(stream: faust.Stream) -> None:
        async for event in stream.noack().events():
            raise ArithmeticError(event.value.records[0].value)

    with pytest.raises(ArithmeticError, match="cursed"):
        await asyncio.wait_for(run(app, asyncio.Event()), 30)
    async with reading(servers, group, topic, tmp_path) as reader:
        await until(lambda: reader.records, "the record is read again")
    assert [record.value for record in reader.records] == [b"cursed"]


async def test_table_is_restored_from_a_changelog_that_ends_in_control_records(stack: Stack, tmp_path: Path) -> None:
    servers = stack.kafka_bootstrap_servers
    topic, group = named("gapped")
    changelog = f"{group}-held-changelog"
    create_topics(servers, topic, changelog)
    out = producer(servers, **{"transactional.id": group})
    out.init_transactions(30)
    out.begin_transaction()
    for number in range(2_500):
        out.produce(changelog, b"old", b"%d" % number, partition=number % 4)
        out.produce(changelog, b"new %d" % number, b"%d" % number, partition=number % 4)
    out.produce(changelog, None, b"0", partition=0)
    out.produce(topic, b"x", partition=0)
    out.commit_transaction(30)
    async with reading(servers, group, topic, tmp_path, table=True) as reader:
        await until(lambda: reader.records, "the table is restored and the topic read")
        table = reader.app.tables["held"]
        assert {key: table.get(key) for key in table} == {b"%d" % n: b"new %d" % n for n in range(1, 2_500)}
