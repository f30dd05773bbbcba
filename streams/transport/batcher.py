"""Batcher: cuts fetched records into batches, and interleaves partitions fairly."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

RECORD_BYTES = 64
"""Approximate overhead of a record in memory, in bytes, besides its key and value."""


class Sized(Protocol):
    """The attributes of a Kafka record that cutting needs; a null key or value has the size -1."""

    @property
    def serialized_key_size(self) -> int:
        """Return the size of the key in bytes."""

    @property
    def serialized_value_size(self) -> int:
        """Return the size of the value in bytes."""


K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R", bound=Sized)


def size_of(record: Sized) -> int:
    """Return the approximate size of a record in memory, in bytes."""
    return RECORD_BYTES + max(record.serialized_key_size, 0) + max(record.serialized_value_size, 0)


def cut(records: Sequence[R], *, max_records: int, max_bytes: int) -> Iterator[tuple[Sequence[R], int]]:
    """Yield batches of consecutive records with their sizes in bytes.

    Args:
        records: The records.
        max_records: Largest number of records in a batch.
        max_bytes: Largest size of a batch; a larger record forms a batch of its own.
    """
    start = total_bytes = 0
    for index, record in enumerate(records):
        size_bytes = size_of(record)
        if index > start and (index - start >= max_records or total_bytes + size_bytes > max_bytes):
            yield records[start:index], total_bytes
            start, total_bytes = index, 0
        total_bytes += size_bytes
    if start < len(records):
        yield records[start:], total_bytes


def interleave(lanes: Mapping[K, Iterable[T]]) -> Iterator[tuple[K, T]]:
    """Yield one element of each lane in turn, so that a long lane cannot starve the others."""
    turns = deque((key, iter(lane)) for key, lane in lanes.items())
    while turns:
        key, lane = turns.popleft()
        for element in lane:
            yield key, element
            turns.append((key, lane))
            break
