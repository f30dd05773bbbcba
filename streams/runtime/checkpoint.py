"""When events are acknowledged: after their effects are out, never before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from faust.types import TP

from infra.kafka.publisher import Publisher
from streams.runtime.record_cache import RecordCache
from streams.transport import App, InFlight

_PATIENCE = 10
"""Intervals that a checkpoint may be put off while there is a backlog, so that work is conflated."""
_HELD_SHARE = 0.5
"""Of what may be in flight of a partition. Once so much of one is held the checkpoint is due: at all of it, reading
stops until there is one."""


class Checkpoint:
    """Holds the events of one agent until a checkpoint has made their effects durable.

    The order is what makes a crash harmless: outputs are acknowledged by the broker, then states go to their tables,
    then the events are acknowledged and may be committed. What a crash repeats is recognised as a repeat.
    Folding goes on meanwhile: what it changes is for the next checkpoint.

    After any failure states may hold events whose outputs are missing. No checkpoint of the process may make such a
    state durable, this agent's or another's: from then on all of them fail, and the process reads again what it had
    not acknowledged.

    Args:
        app: Knows which events still count after a rebalance.
        publisher: What the agent's outputs went to.
        interval_s: Time between checkpoints.
        emit: Publishes what the agent has put off.
        states: What the agent has changed.
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
        self._loads: dict[TP, InFlight] = {}
        """What is held of each partition."""
        self._last_s: float | None = None
        """When the last one began; before the first, when there was first something for it to do."""
        self.behind = False
        """Whether whole batches wait in the broker; set by the agent."""
        self.lock = asyncio.Lock()
        """Held while a checkpoint runs. It must see whole batches: an agent that awaits amid one works under it."""

    def hold(self, events: Iterable[Any]) -> None:
        """Take events whose effects are made but not yet durable."""
        for event in events:
            self._events.append(event)
            ticket, load = event.message.ticket, self._loads.get(event.message.tp, InFlight())
            self._loads[event.message.tp] = InFlight(
                load.batches + 1, load.records + ticket.records, load.size_bytes + ticket.size_bytes
            )
        if self._last_s is None:
            self._last_s = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Make effects durable and acknowledge, unless there is nothing to do or it is better to wait."""
        if self.is_due(asyncio.get_running_loop().time()):
            await self.force()

    def is_due(self, now_s: float) -> bool:
        """Say whether there is something to do that is not better put off, at a time of the event loop."""
        if not self._events or self._last_s is None:
            return False
        patience = _PATIENCE if self.behind and not self._is_full() else 1
        return now_s - self._last_s >= self._interval_s * patience

    async def force(self) -> None:
        """Make effects durable and acknowledge now.

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
        """Say that outputs of the agent are missing: no checkpoint of this process succeeds from here on."""
        self._publisher.fail(error)

    async def _run(self) -> None:
        self._last_s = asyncio.get_running_loop().time()
        self._loads.clear()
        self._emit()
        events, self._events = [event for event in self._events if self._app.is_live(event)], []
        pending = {event.message.partition: event for event in events}
        changes = {} if self._states is None else self._states.changes(pending)
        await self._publisher.flush()
        if self._states is not None:
            await self._states.write(changes, pending)
        for event in events:
            if self._app.is_live(event):
                event.ack()

    def drop(self) -> None:
        """Forget what is held: after a rebalance the events are read again, here or elsewhere."""
        self._events.clear()
        self._loads.clear()

    def _is_full(self) -> bool:
        return any(self._app.limits.reached(load, share=_HELD_SHARE) for load in self._loads.values())
