"""The partitioner of Java clients, aiokafka and Faust."""

from __future__ import annotations

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key (murmur2, the default of Kafka's own producer)."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
