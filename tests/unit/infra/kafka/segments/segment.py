"""Batches and segments for tests, in Kafka's own format."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

TOPIC_ID = "D-yuCI5cSliSXSpD_X2EAA"


class SegmentRecord(NamedTuple):
    """A record as readers see it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def a_batch(keys: Sequence[bytes], *, base_offset: int = 0, compression: int = 0) -> bytes:
    """Return a batch with a record for each key, of an idempotent producer."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=compression, is_transactional=0, producer_id=7, producer_epoch=1,
        base_sequence=base_offset, batch_size=1 << 20,
    )  # fmt: skip
    for number, key in enumerate(keys):
        builder.append(number, 1_000 + number, key, b"value of " + key * 20, [("source", b"a test")])
    return struct.pack(">q", base_offset) + bytes(builder.build())[8:]


def records_of(batch: bytes) -> list[SegmentRecord]:
    """Return the records of a batch, whose checksum must be right."""
    reader = DefaultRecordBatch(batch)
    assert reader.validate_crc()
    return [SegmentRecord(one.offset, one.timestamp, one.key, one.value, tuple(one.headers)) for one in reader]


def next_offset(batch: bytes) -> int:
    """Return the offset after a batch."""
    return int(DefaultRecordBatch(batch).next_offset)


def write_partition(folder: Path, segments: dict[int, bytes], *, topic_id: str = TOPIC_ID) -> None:
    """Write the files of a partition: segments by base offset, their indexes, and the id of the topic."""
    folder.mkdir(parents=True)
    (folder.parent / "meta.properties").touch()
    (folder / "partition.metadata").write_text(f"version: 0\ntopic_id: {topic_id}")
    for base_offset, data in segments.items():
        for suffix in (".log", ".index", ".timeindex"):
            (folder / f"{base_offset:020}{suffix}").write_bytes(data if suffix == ".log" else b"an index")
