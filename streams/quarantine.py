"""The one place where what cannot be used is set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from infra.letter import bounded
from infra.publisher import Publisher
from schemas.codec import DecodeError
from schemas.types import DeadLetter
from streams.core.position import Placed
from topics.topic import DEAD_LETTERS

AGENT_ERROR = "agent_error"
"""Reason of a record that decoded well and made its agent fail."""


class Record(Placed, Protocol):
    """A message as it was read from its partition."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Quarantine:
    """Writes a dead letter per unusable record; reading the same record again writes the same letter again."""

    def __init__(self, publisher: Publisher, *, now_ms: Callable[[], int]) -> None:
        self._publisher = publisher
        self._now_ms = now_ms
        self.counts: Counter[tuple[str, str]] = Counter()
        """Letters written by (stage, reason)."""

    def put(self, record: Record, error: Exception, *, stage: str) -> None:
        """Set a record aside with the stage and the error it failed with."""
        reason = error.reason if isinstance(error, DecodeError) else AGENT_ERROR
        detail = error.detail if isinstance(error, DecodeError) else f"{type(error).__name__}: {error}"
        self.counts[stage, reason] += 1
        letter = DeadLetter(
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
        self._publisher.produce(DEAD_LETTERS, bounded(letter))

    def describe(self) -> dict[str, Any]:
        """Return what a heartbeat says of it: letters by stage and reason."""
        return {"dead_letters": {f"{stage}.{reason}": count for (stage, reason), count in self.counts.items()}}
