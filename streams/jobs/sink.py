"""Topics → somewhere else, batch by batch: what is written is committed, so that a crash writes some of it again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from infra.consumer import kafka_consumer, positions
from streams.beside import until
from topics import Topic

_MOST_RECORDS = 5_000
_WAIT_MS = 500
_LOG = logging.getLogger(__name__)

Write = Callable[[str, Sequence[ConsumerRecord]], Awaitable[None]]
"""Writes a batch of a topic, however long that takes."""


async def drain(
    bootstrap_servers: str,
    group: str,
    topics: Iterable[Topic],
    write: Write,
    *,
    stop: asyncio.Event,
    beside: Sequence[Coroutine[Any, Any, None]] = (),
) -> None:
    """Read topics as a group until `stop` is set, with other coroutines beside; what fails in one of them is raised."""
    names = (topic.name for topic in topics)
    consumer = kafka_consumer(bootstrap_servers, *names, group_id=group, auto_offset_reset="earliest")
    try:
        # A batch given up half-way is read again: its offsets are not committed.
        await until(stop, _work(consumer, write), *beside)
    finally:
        await consumer.stop()


async def _work(consumer: AIOKafkaConsumer, write: Write) -> None:
    await consumer.start()
    committed: dict[TopicPartition, int] = {}
    while True:
        fetched = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_MOST_RECORDS)
        reached = await positions(consumer)
        for tp, records in fetched.items():
            await write(tp.topic, records)
        moved = {tp: position for tp, position in reached.items() if committed.get(tp) != position}
        if moved:
            try:
                await consumer.commit(moved)
                committed = reached
            except (CommitFailedError, IllegalStateError) as error:
                _LOG.info("the group has rebalanced, what was written is read again: %s", error)
