"""Snapshot writer: takes snapshots of the trainer when they are due, and writes them beside the learning.

A snapshot is due after some time or a number of interactions, but never so soon that snapshots take more than a share
of the time. Learning waits while the state is copied, in a thread, so that heartbeats go on; nothing waits for the
disk.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from domain.state import State
from infra import clock
from infra.settings import Settings
from streams.core.learning.snapshot import Arrays
from streams.roles.trainer.snapshot_store import Offsets, SnapshotStore, packed
from topics.topic import INTERACTIONS

T = TypeVar("T")

_MAX_SHARE = 0.04
"""Largest share of the time, by the processor time of one snapshot, that snapshots take."""
_LOG = logging.getLogger(__name__)


class SnapshotWriter:
    """Writes the snapshots of one trainer."""

    def __init__(self, store: SnapshotStore, settings: Settings) -> None:
        self._store = store
        self._interval_s, self._events = settings.trainer_snapshot_interval_s, settings.trainer_snapshot_events
        self._offsets: Offsets = {}
        self._taken_s, self._cost_s = time.monotonic(), 0.0
        self._write: asyncio.Task[int] | None = None
        self._last: dict[str, Any] = {}

    def start_from(self, offsets: Offsets) -> None:
        """Note the offsets that the newest snapshot continues from."""
        self._offsets = dict(offsets)

    async def take_if_due(self, begin: Callable[[], Callable[[], State]], offsets: Offsets) -> None:
        """Take a snapshot if one is due; it is written in the background.

        Args:
            begin: Returns a function that a thread can ask for the state of now. Nothing is learned meanwhile.
            offsets: The next offset of each partition.
        """
        if not self._is_due(offsets):
            return
        now_s, self._offsets, state = time.monotonic(), dict(offsets), begin()
        arrays, self._cost_s = await asyncio.to_thread(_timed, lambda: packed(state(), self._offsets))
        self._last = {
            "at": clock.now_ms(),
            "interactions": _events(offsets),
            "pause_s": round(time.monotonic() - now_s, 3),
        }
        self._taken_s = now_s
        self._write = asyncio.ensure_future(self._put(arrays))

    async def replace(self, begin: Callable[[], Callable[[], State]], offsets: Offsets) -> None:
        """Replace all snapshots by one of now, or delete them if it cannot be written; learning waits.

        Args:
            begin: See `take_if_due`.
            offsets: The next offset of each partition.
        """
        await self.close()
        count = 0
        if self._interval_s:
            self._taken_s, self._offsets, state = time.monotonic(), dict(offsets), begin()
            arrays, self._cost_s = await asyncio.to_thread(_timed, lambda: packed(state(), self._offsets))
            count = await self._put(arrays)
        await asyncio.to_thread(self._store.keep, count)

    async def close(self) -> None:
        """Wait for the snapshot that is being written."""
        if self._write is not None:
            await asyncio.wait({self._write})

    def describe(self) -> dict[str, Any]:
        """Return the figures of the last snapshot for the heartbeat; none without one."""
        return self._last

    def _is_due(self, offsets: Offsets) -> bool:
        elapsed_s = time.monotonic() - self._taken_s
        is_writing = self._write is not None and not self._write.done()
        if not self._interval_s or is_writing or elapsed_s < self._cost_s / _MAX_SHARE or offsets == self._offsets:
            return False
        return elapsed_s >= self._interval_s or _events(offsets) - _events(self._offsets) >= self._events

    async def _put(self, arrays: Arrays) -> int:
        """Write a snapshot; return how many were written, 0 after a failure."""
        try:
            size, cost_s = await asyncio.to_thread(_timed, lambda: self._store.put(arrays))
        except Exception:
            _LOG.exception("the snapshot cannot be written")
            return 0
        self._cost_s += cost_s
        self._last |= {"bytes": size, "processor_s": round(self._cost_s, 3)}
        return 1


def _events(offsets: Offsets) -> int:
    return sum(offset for tp, offset in offsets.items() if tp.topic == INTERACTIONS.name)


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    """Return a result, and the processor time that it took this thread in seconds."""
    started_s = time.thread_time()
    return call(), time.thread_time() - started_s
