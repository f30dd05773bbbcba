"""Publisher of scheduled triggers, and of those for new items: each worker publishes those of its own users."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import chain, islice

from infra.kafka.publisher import Publisher
from streams.core.params import TriggerParams
from streams.core.triggers.active_users import ActiveUsers, active_user
from streams.core.user.user_state import UserState
from topics.topic import TRIGGERS

_ROWS = 500
"""Rows read per turn of the event loop: some 2 ms."""
_NEW_ITEM_TRIGGERS = 1_000
"""Largest number of users ranked for new items per tick."""
_TRIGGERS = 1_000
"""Triggers published at once; the next ones wait until the broker has acknowledged these."""


class ScheduledTriggerPublisher:
    """Publishes the due triggers of the active users.

    Its progress is not stored: after a restart it looks back as far as a trigger may be late. A trigger published twice
    has the same id, and counts once.

    Args:
        active_users: The users, noted as they are folded.
        rows: Reads the states of all users from the table.
        publisher: Publishes the triggers.
        params: The schedule, and the largest delay of a trigger.
        now_ms: The clock, in ms since the epoch.
        tick_s: Time between two looks at the schedule, in seconds.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        active_users: ActiveUsers,
        rows: Callable[[], Iterator[UserState]],
        publisher: Publisher,
        *,
        params: TriggerParams,
        now_ms: Callable[[], int],
        tick_s: float = 2.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._active_users, self._rows, self._publisher = active_users, rows, publisher
        self._params, self._now_ms, self._tick_s, self._sleep = params, now_ms, tick_s, sleep
        self._reached_ms: int | None = None
        self._rebalances = 0
        self._restoration = asyncio.Event()

    def forget(self) -> None:
        """Clear the active users: after a rebalance other workers may own them."""
        self._restoration.clear()
        self._rebalances += 1
        self._reached_ms = None
        self._active_users.clear()

    def restored(self) -> None:
        """Signal that the table is restored."""
        self._restoration.set()

    async def run(self) -> None:
        """Publish triggers when they are due, until cancelled."""
        while True:
            await self._restoration.wait()
            if self._reached_ms is not None or await self._load_users():
                await self._publish_due()
            await self._sleep(self._tick_s)

    async def _load_users(self) -> bool:
        """Read the users of the table; return False when a rebalance interrupts it."""
        rows, now_ms, rebalances = self._rows(), self._now_ms(), self._rebalances
        while some := list(islice(rows, _ROWS)):
            for state in some:
                self._active_users.restore(state.user_id, active_user(state), now_ms=now_ms)
            await asyncio.sleep(0)
            if self._rebalances != rebalances:
                return False
        self._reached_ms = 0
        return True

    async def _publish_due(self) -> None:
        upto_ms = self._now_ms()
        after_ms, self._reached_ms = max(self._reached_ms or 0, upto_ms - self._params.max_delay_ms), upto_ms
        triggers = chain(
            self._active_users.due(after_ms, upto_ms),
            self._active_users.due_rankings(after_ms, upto_ms),
            self._active_users.due_new_items(upto_ms, _NEW_ITEM_TRIGGERS),
        )
        while some := list(islice(triggers, _TRIGGERS)):
            await self._publisher.publish(TRIGGERS, some)
