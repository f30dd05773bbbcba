"""Coalescing of the small reads of one event loop tick into one large read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

V = TypeVar("V")

_MAX_KEYS = 2_000
"""Maximum number of keys per read, so that no answer blocks Redis or the event loop for long."""


class Coalescer(Generic[V]):
    """Collects the keys requested within a tick and fetches each once, all in one call.

    `fetch` returns values in the order of its keys; its exceptions reach all callers of that tick.
    """

    def __init__(self, fetch: Callable[[Sequence[str]], Awaitable[Sequence[V]]]) -> None:
        self._fetch = fetch
        self._open: _Batch[V] | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def read(self, keys: Sequence[str]) -> list[V]:
        """Return the values of keys in order."""
        if not keys:
            return []
        batch = self._open
        if batch is None or len(batch.rows) + len(keys) > _MAX_KEYS:
            loop = asyncio.get_running_loop()
            batch = self._open = _Batch(loop.create_future())
            loop.call_soon(self._send, batch)
        rows = [batch.rows.setdefault(key, len(batch.rows)) for key in keys]
        # Shielded: a cancelled caller must not cancel the read of the others.
        values = await asyncio.shield(batch.answer)
        return [values[row] for row in rows]

    def _send(self, batch: _Batch[V]) -> None:
        if self._open is batch:
            self._open = None
        task = asyncio.get_running_loop().create_task(self._run(batch))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, batch: _Batch[V]) -> None:
        try:
            values = await self._fetch(list(batch.rows))
        except BaseException as error:
            if isinstance(error, Exception):
                batch.answer.set_exception(error)
                batch.answer.exception()  # marks it as retrieved, even if all callers were cancelled
                return
            batch.answer.cancel()
            raise
        batch.answer.set_result(values)


class _Batch(Generic[V]):
    __slots__ = ("answer", "rows")

    def __init__(self, answer: asyncio.Future[Sequence[V]]) -> None:
        self.answer = answer
        self.rows: dict[str, int] = {}
