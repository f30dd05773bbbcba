"""Dead-letter queue: unusable records of the agents and roles, published to the dead-letter topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from infra.kafka.dead_letter_size import fit_to_topic
from infra.kafka.publisher import Publisher
from infra.redis.connection import StoreRefusedError
from schemas.codec import DecodeError
from schemas.types import DeadLetter
from streams.core.position import HasPosition
from streams.runtime.retry import write_one_by_one
from topics.topic import DEAD_LETTERS

AGENT_ERROR = "agent_error"
"""Reason of a record that was decoded but made its agent fail."""


class Record(HasPosition, Protocol):
    """A message as read from its partition."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


@dataclass(slots=True, kw_only=True)
class Message:
    """A record rebuilt from its value and its position."""

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
    """Publishes a dead letter per unusable record; the same record always yields the same id."""

    def __init__(self, publisher: Publisher, *, now_ms: Callable[[], int]) -> None:
        self._publisher = publisher
        self._now_ms = now_ms
        self.counts: Counter[tuple[str, str]] = Counter()
        """Numbers of dead letters by (stage, reason)."""

    def put(self, record: Record, error: Exception, *, stage: str) -> None:
        """Send a record to the dead-letter topic.

        Args:
            record: The record.
            error: The error at which it failed.
            stage: The stage at which it failed.
        """
        reason, detail = reason_and_detail(error)
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
        self._publisher.produce(DEAD_LETTERS, fit_to_topic(dead_letter))

    async def write(
        self,
        entries: Sequence[tuple[R, V]],
        write: Callable[[Sequence[tuple[R, V]]], Awaitable[object]],
        *,
        stage: str,
        log_message: str,
    ) -> int:
        """Write entries to a store, however long it is unavailable; a refused entry becomes a dead letter.

        Args:
            entries: Records with the values to write.
            write: Writes some of them at once; it may be called again with entries written before.
            stage: The stage of the dead letters.
            log_message: The log message while the store is unavailable.

        Returns:
            The number of refused entries; their dead letters are written.

        Raises:
            PublishError: a dead letter was not written.
        """
        refused_count = 0

        def refuse(entry: tuple[R, V], error: Exception) -> None:
            nonlocal refused_count
            refused_count += 1
            self.put(entry[0], error, stage=stage)

        await write_one_by_one(entries, write, refuse, log_message=log_message)
        if refused_count:
            await self.flush()
        return refused_count

    async def flush(self) -> None:
        """Wait until all dead letters are acknowledged.

        Raises:
            PublishError: a dead letter was not acknowledged.
        """
        await self._publisher.flush()

    def describe(self) -> dict[str, Any]:
        """Return the figures for the heartbeat: dead letters by stage and reason."""
        return {"dead_letters": {f"{stage}.{reason}": count for (stage, reason), count in self.counts.items()}}


def reason_and_detail(error: Exception) -> tuple[str, str]:
    """Return the reason and the detail of a dead letter."""
    if isinstance(error, DecodeError):
        return error.reason, error.detail
    reason = error.reason if isinstance(error, StoreRefusedError) else AGENT_ERROR
    return reason, f"{type(error).__name__}: {error}"
