"""The one place where what cannot be used is set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from infra.kafka.dead_letter_size import bounded
from infra.kafka.publisher import Publisher
from infra.redis.connection import StoreRefusedError
from schemas.codec import DecodeError
from schemas.types import DeadLetter
from streams.core.position import HasPosition
from streams.runtime.retry import write_one_by_one
from topics.topic import DEAD_LETTERS

AGENT_ERROR = "agent_error"
"""Reason of a record that decoded well and made its agent fail."""


class Record(HasPosition, Protocol):
    """A message as it was read from its partition."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


@dataclass(slots=True, kw_only=True)
class Message:
    """A record of which only the value is at hand, and where it stood."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


R = TypeVar("R", bound=Record)
V = TypeVar("V")


class DeadLetterQueue:
    """Writes a dead letter per unusable record; reading the same record again writes the same letter again."""

    def __init__(self, publisher: Publisher, *, now_ms: Callable[[], int]) -> None:
        self._publisher = publisher
        self._now_ms = now_ms
        self.counts: Counter[tuple[str, str]] = Counter()
        """Letters written by (stage, reason)."""

    def put(self, record: Record, error: Exception, *, stage: str) -> None:
        """Set a record aside with the stage and the error it failed with."""
        reason, detail = described(error)
        self.counts[stage, reason] += 1
        dead_letter = DeadLetter(
            letter_id=f"{record.topic}-{record.partition}-{record.offset}",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp=max(record.timestamp, 0),
            key=record.key,
            value=record.value,
            headers={name: value or b"" for name, value in record.headers},
            stage=stage,
            reason=reason,
            detail=detail,
            failed_at=self._now_ms(),
        )
        self._publisher.produce(DEAD_LETTERS, bounded(dead_letter))

    async def write(
        self,
        entries: Sequence[tuple[R, V]],
        write: Callable[[Sequence[tuple[R, V]]], Awaitable[object]],
        *,
        stage: str,
        waits: str,
    ) -> int:
        """Write entries to a store, however long it is away; an entry at which that fails is set aside.

        Args:
            entries: Records, and what is written of them.
            write: Writes some of them, in one go; what was written before may be written again.
            stage: Where an entry fails.
            waits: Who waits for what, for the log.

        Returns:
            How many entries were set aside; their letters are written.

        Raises:
            PublishError: a letter was not written.
        """
        refused = 0

        def refuse(entry: tuple[R, V], error: Exception) -> None:
            nonlocal refused
            refused += 1
            self.put(entry[0], error, stage=stage)

        await write_one_by_one(entries, write, refuse, waits=waits)
        if refused:
            await self.flush()
        return refused

    async def flush(self) -> None:
        """Wait until all letters are acknowledged.

        Raises:
            PublishError: one was not.
        """
        await self._publisher.flush()

    def describe(self) -> dict[str, Any]:
        """Return what a heartbeat says of it: letters by stage and reason."""
        return {"dead_letters": {f"{stage}.{reason}": count for (stage, reason), count in self.counts.items()}}


def described(error: Exception) -> tuple[str, str]:
    """Return the reason of a letter, and its detail."""
    if isinstance(error, DecodeError):
        return error.reason, error.detail
    reason = error.reason if isinstance(error, StoreRefusedError) else AGENT_ERROR
    return reason, f"{type(error).__name__}: {error}"
