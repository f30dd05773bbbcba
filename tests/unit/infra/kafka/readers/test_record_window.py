"""Windows of records, read backwards and forwards in steps."""

from __future__ import annotations

from aiokafka import TopicPartition

from infra.kafka.readers import record_window
from infra.kafka.readers.record_window import WindowReader, partition_of_key
from tests.broker import Broker
from tests.build import T0_MS
from tests.log_consumer import LogConsumer
from topics.topic import FEATURES

RECORDS = 3_000
ONE, OTHER = (TopicPartition("t", number) for number in (0, 1))


def a_broker() -> Broker:
    """Return a log of 3,000 records and one of two."""
    broker = Broker()
    for n in range(RECORDS):
        broker.append("t", 0, b"%d" % (n % 7), b"%d" % n)
    broker.append("t", 1, b"other", b"0")
    broker.append("t", 1, b"other", b"1")
    return broker


async def test_every_record_is_read_once_backwards_and_forwards() -> None:
    deleted_positions = frozenset(("t", 0, offset) for offset in range(100, RECORDS, 3))
    reader = WindowReader(LogConsumer(a_broker(), compacted_positions=deleted_positions))
    expected = [offset for offset in range(RECORDS) if ("t", 0, offset) not in deleted_positions]
    steps = [[one.offset for one in step] async for step in reader.backwards(await reader.window([ONE]))]
    assert [offset for step in reversed(steps) for offset in step] == expected
    assert len(steps) > 2
    steps = [[one.offset for one in step] async for step in reader.forwards(await reader.window([ONE]))]
    assert [offset for step in steps for offset in step] == expected


async def test_a_window_begins_at_an_append_time() -> None:
    reader = WindowReader(LogConsumer(a_broker()))
    assert await reader.window([ONE], since_ms=T0_MS + 2_990) == {ONE: range(2_990, RECORDS)}
    assert await reader.window([ONE], since_ms=T0_MS + 10_000) == {ONE: range(RECORDS, RECORDS)}


async def test_a_search_that_ends_early_reads_the_end_alone() -> None:
    consumer = LogConsumer(a_broker())
    reader = WindowReader(consumer)
    async for _ in reader.backwards(await reader.window([ONE])):
        break
    assert min(offset for _, _, offset in consumer.fetched_positions) == RECORDS - record_window._FIRST_RECORDS


async def test_partitions_can_be_taken_out_of_a_window_while_it_is_read() -> None:
    consumer = LogConsumer(a_broker())
    reader = WindowReader(consumer)
    window = await reader.window([ONE, OTHER])
    async for _ in reader.backwards(window):
        window[ONE] = range(0)
    assert sum(partition == 1 for _, partition, _ in consumer.fetched_positions) == 2
    assert min(offset for _, partition, offset in consumer.fetched_positions if partition == 0) > 2_000


async def test_the_newest_record_of_a_key_is_found_and_a_missing_key_is_not() -> None:
    broker, key = Broker(), b"u1"
    number = partition_of_key(FEATURES, key).partition
    for n in range(10):
        broker.append(FEATURES.name, number, key if n in (2, 5) else b"u2", b"%d" % n)
    reader = WindowReader(LogConsumer(broker))
    newest = await reader.newest(FEATURES, key)
    assert newest is not None
    assert newest.value == b"5"
    assert await reader.newest(FEATURES, b"u3") is None


async def test_progress_ends_with_the_whole_window() -> None:
    progress: list[tuple[int, int]] = []
    reader = WindowReader(LogConsumer(a_broker()), on_progress=lambda count, total: progress.append((count, total)))
    async for _ in reader.backwards(await reader.window([ONE, OTHER])):
        pass
    assert progress[-1] == (RECORDS + 2, RECORDS + 2)
    assert progress == sorted(progress)
