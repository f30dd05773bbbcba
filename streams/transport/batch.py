"""Batch: consecutive records of one partition, the unit that an agent reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aiokafka import ConsumerRecord


@dataclass(slots=True, eq=False)
class Batch:
    """Consecutive records of one partition as undecoded bytes, until their memory is freed."""

    topic: str
    partition: int
    records: Sequence[ConsumerRecord]
    remaining: int = 0
    """Records in the broker after this batch, as of its fetch; 0 means caught up."""

    def free(self) -> None:
        """Free the memory of the records."""
        self.records = ()

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
