"""Records of several partitions in the order of their append times: a merge that holds some thousand at a time."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import AsyncIterator, Iterator

from aiokafka import ConsumerRecord, TopicPartition

from infra.kafka.readers.record_window import Window, WindowReader

_RECORDS = 4_000
"""Records of each partition per step."""


async def in_append_order(reader: WindowReader, window: Window) -> AsyncIterator[list[ConsumerRecord]]:
    """Yield the records of a window in steps, by append time; those of one partition stay in their order.

    Args:
        reader: Reads the records.
        window: The offsets to read.
    """
    ahead, buffers = dict(window), {tp: deque[ConsumerRecord]() for tp in window}
    while True:
        step = {tp: offsets[:_RECORDS] for tp, offsets in ahead.items() if offsets and not buffers[tp]}
        if step:
            ahead |= {tp: ahead[tp][len(offsets) :] for tp, offsets in step.items()}
            for record in await reader.read(step):
                buffers[TopicPartition(record.topic, record.partition)].append(record)
            continue  # a step may hold nothing but gaps
        # Clocks may step back within a partition; with the latest time of each, some partition's buffer empties.
        horizons_ms = [max(record.timestamp for record in buffer) for tp, buffer in buffers.items() if ahead[tp]]
        horizon_ms = min(horizons_ms) if horizons_ms else None
        records = list(
            heapq.merge(
                *(_up_to(buffer, horizon_ms) for buffer in buffers.values()),
                key=lambda record: (record.timestamp, record.topic, record.partition),
            )
        )
        if not records:
            return
        yield records


def _up_to(buffer: deque[ConsumerRecord], horizon_ms: int | None) -> Iterator[ConsumerRecord]:
    """Take the records of a buffer up to an append time; all for None."""
    while buffer and (horizon_ms is None or buffer[0].timestamp <= horizon_ms):
        yield buffer.popleft()
