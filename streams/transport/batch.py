"""What an agent reads: consecutive records of one partition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aiokafka import ConsumerRecord


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of one partition, as they are in the broker: bytes, undecoded."""

    topic: str
    partition: int
    records: Sequence[ConsumerRecord]
    remaining: int = 0
    """Records that the broker holds after this batch, as far as was known when it was fetched: 0 means caught up."""

    @property
    def first_offset(self) -> int:
        """Return the offset of the first record."""
        return int(self.records[0].offset)

    @property
    def last_offset(self) -> int:
        """Return the offset of the last record."""
        return int(self.records[-1].offset)

    def __iter__(self) -> Iterator[ConsumerRecord]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return f"<Batch {self.topic}-{self.partition} {self.first_offset}..{self.last_offset} ({len(self)} records)>"
