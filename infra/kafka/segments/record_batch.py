"""Record batches in Kafka's message format 2: their records, and a batch without some of them.

https://kafka.apache.org/documentation/#recordbatch. What remains of a batch keeps its offsets, append time, leader
epoch and producer, as after a compaction by Kafka's own log cleaner; a batch without records keeps its header, so that
no offset is ever assigned again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container, Iterator
from typing import NamedTuple

from aiokafka import codec
from aiokafka.record.util import calc_crc32c

PREFIX_BYTES = 12
"""Size of the offset and the length that begin a batch; the length counts what follows."""
_FORMAT = struct.Struct(">qiibIhiqqqhii")
_CHECKED_FROM = 21
"""Position of the attributes: the checksum covers the batch from there."""
_MAGIC = 2
_COMPRESSION, _CONTROL = 0x07, 0x20
_CODECS: dict[int, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    1: (codec.gzip_decode, codec.gzip_encode),
    2: (codec.snappy_decode, codec.snappy_encode),
    3: (codec.lz4_decode, codec.lz4_encode),
    4: (codec.zstd_decode, codec.zstd_encode),
}


class SegmentError(ValueError):
    """A batch is damaged, or in a format that is older than Kafka 0.11."""


class _Header(NamedTuple):
    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    checksum: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int


def without(batch: bytes, offsets: Container[int]) -> bytes:
    """Return a batch without the records at some offsets; the same batch if it has none of them, or is cut off.

    Args:
        batch: The batch.
        offsets: Offsets of the records to leave out.

    Raises:
        SegmentError: the batch cannot be read.
    """
    if len(batch) < _FORMAT.size:
        return batch
    header = _Header(*_FORMAT.unpack_from(batch))
    if len(batch) < PREFIX_BYTES + header.length or header.attributes & _CONTROL:
        return batch
    if not any(header.base_offset + delta in offsets for delta in range(header.last_offset_delta + 1)):
        return batch
    _check(header, batch)
    compression = header.attributes & _COMPRESSION
    payload = batch[_FORMAT.size :]
    if compression:
        payload = bytes(_CODECS[compression][0](payload))
    records = [data for offset, data in _records(header, payload) if offset not in offsets]
    if len(records) == header.record_count:
        return batch
    attributes = header.attributes
    payload = b"".join(records)
    if not records:
        attributes &= ~_COMPRESSION
    elif compression:
        payload = bytes(_CODECS[compression][1](payload))
    return _packed(header._replace(attributes=attributes, record_count=len(records)), payload)


def _check(header: _Header, batch: bytes) -> None:
    if header.magic != _MAGIC:
        raise SegmentError(f"the batch at {header.base_offset} has format {header.magic}")
    if calc_crc32c(batch[_CHECKED_FROM:]) != header.checksum:
        raise SegmentError(f"the batch at {header.base_offset} does not match its checksum")


def _records(header: _Header, payload: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the offset and the bytes of each record."""
    position = 0
    for _ in range(header.record_count):
        length, body = _varint(payload, position)
        _, at = _varint(payload, body + 1)  # after the record's attributes: the difference of its timestamp
        offset_delta, _ = _varint(payload, at)
        yield header.base_offset + offset_delta, payload[position : body + length]
        position = body + length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return a zigzag varint and the position after it."""
    shift = value = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), position
        shift += 7


def _packed(header: _Header, payload: bytes) -> bytes:
    length = _FORMAT.size - PREFIX_BYTES + len(payload)
    body = _FORMAT.pack(*header._replace(length=length, checksum=0))[_CHECKED_FROM:] + payload
    return _FORMAT.pack(*header._replace(length=length, checksum=calc_crc32c(body)))[:_CHECKED_FROM] + body
