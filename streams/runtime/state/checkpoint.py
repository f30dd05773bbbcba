"""Checkpoints: events are acknowledged after their effects are durable, never before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from infra.kafka.publisher import Publisher
from streams.runtime.state.record_cache import RecordCache
from streams.transport import App

_BACKLOG_INTERVALS = 10
"""Intervals by which a checkpoint may be delayed under a backlog, so that repeated work is coalesced."""
FULL_SHARE = 0.5
"""Share of the limit of processed records of a partition above which nothing is delayed. At the full limit, reading
stops until the next checkpoint."""


class Checkpoint:
    """Holds the events of one agent until a checkpoint has made their effects durable.

    The order makes a crash harmless: first the broker acknowledges the outputs, then the states go to their tables,
    then the events are acknowledged and may be committed. Events repeated after a crash are recognised as duplicates.
    Folding continues meanwhile; its changes belong to the next checkpoint. Events whose effects come later than their
    fold are held as pending, and wait for their release through any number of checkpoints.

    After any failure, states may include events whose outputs are missing. No checkpoint of the process, of this agent
    or another, may make such a state durable: from then on all checkpoints fail, and the process restarts and reads the
    unacknowledged events again.

    Args:
        app: Tells which events are still valid after a rebalance.
        publisher: The publisher of the agent's outputs.
        interval_s: Time between checkpoints, in seconds.
        emit: Publishes the agent's delayed outputs.
        states: The agent's states.
    """

    def __init__(
        self,
        app: App,
        publisher: Publisher,
        *,
        interval_s: float,
        emit: Callable[[], None] = lambda: None,
        states: RecordCache[Any] | None = None,
    ) -> None:
        self._app, self._publisher = app, publisher
        self._interval_s = interval_s
        self._emit, self._states = emit, states
        self._events: list[Any] = []
        self._pending: set[int] = set()
        """Identities of the events held that are not released yet."""
        self._last_s: float | None = None
        """Start of the last checkpoint; before the first one, the time of the first event held."""
        self.behind = False
        """Whether whole batches wait in the broker; set by the agent."""
        self.lock = asyncio.Lock()
        """Locked during a checkpoint, which must see whole batches: an agent that awaits within one takes this lock."""

    def add(self, events: Iterable[Any], *, pending: bool = False) -> None:
        """Hold processed events whose effects are not durable yet.

        Args:
            events: The events; their records are freed.
            pending: Whether the events also wait for their `release`.
        """
        for event in events:
            self._events.append(event)
            self._app.process(event)
            if pending:
                self._pending.add(id(event))
        if self._last_s is None:
            self._last_s = asyncio.get_running_loop().time()

    def release(self, event: Any) -> None:
        """Let the next checkpoint acknowledge a pending event; its last outputs have been produced."""
        self._pending.discard(id(event))

    async def run(self) -> None:
        """Run the checkpoint if it is due."""
        if self.is_due(asyncio.get_running_loop().time()):
            await self.force()

    def is_due(self, now_s: float) -> bool:
        """Return whether events are held and the interval has passed, at a time of the event loop's clock."""
        if not self._events or self._last_s is None:
            return False
        intervals = _BACKLOG_INTERVALS if self.behind and not self.is_full() else 1
        return now_s - self._last_s >= self._interval_s * intervals

    async def force(self) -> None:
        """Make the effects durable and acknowledge the events now.

        Raises:
            PublishError: outputs were lost, now or before, by this agent or another.
        """
        async with self.lock:
            try:
                await self._run()
            except Exception as error:
                self.fail(error)
                raise

    def fail(self, error: Exception) -> None:
        """Report that outputs of the agent are missing: no later checkpoint of this process succeeds."""
        self._publisher.fail(error)

    def is_full(self) -> bool:
        """Return whether so many events are unacknowledged that reading would soon stop."""
        partitions = {event.message.tp for event in self._events}
        return any(self._app.processed_share(tp) >= FULL_SHARE for tp in partitions)

    async def _run(self) -> None:
        self._last_s = asyncio.get_running_loop().time()
        self._emit()
        live = [event for event in self._events if self._app.is_live(event)]
        complete = [event for event in live if id(event) not in self._pending]
        self._events = [event for event in live if id(event) in self._pending]
        owners = {event.message.partition: event for event in live}
        changes = {} if self._states is None else self._states.changes(owners)
        await self._publisher.flush()
        if self._states is not None:
            await self._states.write(changes, owners)
        for event in complete:
            if self._app.is_live(event):
                event.ack()

    def drop(self) -> None:
        """Discard the events held: after a rebalance they are read again, here or elsewhere."""
        self._events.clear()
        self._pending.clear()
