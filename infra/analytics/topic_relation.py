"""Topics as relations: the records of a span of append times, with their positions in Kafka."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pyarrow as pa
from aiokafka import ConsumerRecord

from infra.analytics.arrow_schema import TIME, arrow_schema, record_rows
from infra.analytics.relation import ALWAYS, Relation, TimeSpan
from infra.error import OperatorError
from infra.kafka.consumer import partitions_of
from infra.kafka.readers.record_window import WindowReader, partition_of_key
from infra.kafka.registry import Registry
from schemas.codec import DecodeError
from topics import Topic

POSITION = pa.schema(
    [
        pa.field("appended_at", TIME, nullable=False),
        pa.field("kafka_partition", pa.int32(), nullable=False),
        pa.field("kafka_offset", pa.int64(), nullable=False),
    ]
)
"""The columns after those of the record: the broker's time, and the position in the topic."""
DELETION = "deletion"
"""The reason why a record without a value is no row."""


def topic_relation(
    reader: WindowReader,
    registry: Registry,
    topic: Topic,
    *,
    span: TimeSpan = ALWAYS,
    user_id: str | None = None,
    skipped_counts: Counter[str] | None = None,
) -> Relation:
    """Return a topic as a relation. Nothing is read before its first batch is asked for.

    Args:
        reader: Reads the records.
        registry: Decodes them.
        topic: The topic.
        span: Append times to read.
        user_id: The user whose records to read; by default those of all.
        skipped_counts: Counts records left out, by reason: deletions, and codes of `DecodeError`.

    Raises:
        OperatorError: records of the topic have no user.
    """
    if user_id is not None and "user_id" not in topic.record.__struct_fields__:
        raise OperatorError(f"Records of {topic.short_name} belong to no user.", "Leave --user out.")
    schema = pa.schema([*arrow_schema(topic.record), *POSITION])
    counts = Counter[str]() if skipped_counts is None else skipped_counts

    async def batches() -> AsyncIterator[pa.RecordBatch]:
        is_keyed = user_id is not None and topic.key == "user_id"
        partitions = [partition_of_key(topic, str(user_id).encode())] if is_keyed else partitions_of(topic)
        window = await reader.window(partitions, since_ms=span.from_ms, until_ms=span.until_ms)
        async for records in reader.forwards(window):
            batch = await _batch(registry, topic, records, schema, user_id=user_id, skipped_counts=counts)
            if batch.num_rows:
                yield batch

    return Relation(topic.short_name, schema, batches())


async def _batch(
    registry: Registry,
    topic: Topic,
    records: Sequence[ConsumerRecord],
    schema: pa.Schema,
    *,
    user_id: str | None,
    skipped_counts: Counter[str],
) -> pa.RecordBatch:
    codec, positions = registry.codec(topic.record), []
    values: list[Any] = []
    for record in records:
        if record.value is None:
            skipped_counts[DELETION] += 1
            continue
        try:
            value: Any = await registry.decode(codec, record.value)
        except DecodeError as error:
            skipped_counts[error.reason] += 1
            continue
        if user_id is None or value.user_id == user_id:
            values.append(value)
            positions.append((record.timestamp, record.partition, record.offset))
    rows = record_rows(values)
    for row, position in zip(rows, positions, strict=True):
        row.update(zip(POSITION.names, position, strict=True))
    return pa.RecordBatch.from_pylist(rows, schema)
