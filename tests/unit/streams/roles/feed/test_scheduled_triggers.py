"""The waker: what it recalls, what it publishes, and what a rebalance takes from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from domain.timestamp import HOUR_MS
from infra.fakes.memory_publisher import MemoryPublisher
from infra.kafka.publisher import PublishError
from streams.core.triggers.active_users import ActiveUsers
from streams.core.triggers.schedule import parse
from streams.core.user.user_state import UserState
from streams.roles.feed.scheduled_triggers import ScheduledTriggerPublisher
from tests.build import T0_MS
from tests.params import TRIGGER_PARAMS
from topics.topic import TRIGGERS

MIDNIGHT_MS = T0_MS - T0_MS % (24 * HOUR_MS)
PARAMS = replace(TRIGGER_PARAMS, schedule=parse("daily 12:00 noon"))


@dataclass
class World:
    """A waker's surroundings: a table, a clock, a publisher."""

    users: list[str]
    now_ms: int = MIDNIGHT_MS + 11 * HOUR_MS
    publisher: MemoryPublisher = field(default_factory=MemoryPublisher)
    at_row: dict[int, Callable[[], object]] = field(default_factory=dict)
    """Functions to call when a row of the table is read."""

    def __post_init__(self) -> None:
        self.roster = ActiveUsers(PARAMS)
        publisher: Any = self.publisher
        self.waker = ScheduledTriggerPublisher(
            self.roster, self.rows, publisher, params=PARAMS, now_ms=lambda: self.now_ms, sleep=self.sleep
        )
        self._is_asleep, self._goes_on = asyncio.Event(), asyncio.Event()

    def rows(self) -> Iterator[UserState]:
        for index, user_id in enumerate(self.users):
            if index in self.at_row:
                self.at_row.pop(index)()
            yield UserState(user_id, watermark=MIDNIGHT_MS)

    async def sleep(self, _seconds: float) -> None:
        """Sleep until `go_on` is called."""
        self._is_asleep.set()
        await self._goes_on.wait()
        self._goes_on.clear()

    async def looked(self) -> None:
        """Wait until the publisher has looked at the schedule and sleeps."""
        await asyncio.wait_for(self._is_asleep.wait(), 5)

    def go_on(self) -> None:
        """End the sleep."""
        self._is_asleep.clear()
        self._goes_on.set()

    async def look_again(self) -> None:
        """End the sleep, and wait until the publisher has looked once more."""
        self.go_on()
        await self.looked()

    def woken(self) -> list[str]:
        return [trigger.user_id for trigger in self.publisher.values_of(TRIGGERS)]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.waker.run())
        yield task
        task.cancel()
        with suppress(asyncio.CancelledError, PublishError):
            await task


async def test_users_of_the_table_are_woken_at_noon_and_once() -> None:
    world = World(["u1", "u2", "u3"])
    async with world.running():
        world.waker.restored()
        await world.looked()
        assert (len(world.roster), world.woken()) == (3, [])
        world.now_ms = MIDNIGHT_MS + 12 * HOUR_MS
        await world.look_again()
        assert len(world.woken()) == 3
        world.now_ms += HOUR_MS
        await world.look_again()
    assert sorted(world.woken()) == ["u1", "u2", "u3"]


async def test_what_was_due_while_the_worker_was_down_is_made_up_for_unless_it_is_too_late() -> None:
    for late_ms, expected in ((PARAMS.max_delay_ms // 2, ["u1"]), (PARAMS.max_delay_ms + 1, [])):
        world = World(["u1"], now_ms=MIDNIGHT_MS + 12 * HOUR_MS + late_ms)
        async with world.running():
            world.waker.restored()
            await world.looked()
        assert (len(world.roster), world.woken()) == (1, expected)


async def test_nobody_is_woken_before_the_table_is_whole_nor_by_who_has_lost_it() -> None:
    world = World(["u1"], now_ms=MIDNIGHT_MS + 12 * HOUR_MS)
    async with world.running():
        await asyncio.sleep(0)  # the publisher runs until it waits for the table
        assert not world.woken()
        world.waker.restored()
        await world.looked()
        assert len(world.woken()) == 1
        world.waker.forget()
        world.now_ms += 24 * HOUR_MS
        world.go_on()
        await asyncio.sleep(0)  # it wakes up, and waits for the table again
    assert (len(world.roster), len(world.woken())) == (0, 1)


async def test_a_rebalance_in_the_middle_of_recalling_starts_it_again() -> None:
    world = World([f"u{n}" for n in range(5_000)])

    def rebalanced() -> None:
        world.users = ["mine"]
        world.waker.forget()
        world.waker.restored()

    async with world.running():
        world.at_row[2_500] = lambda: asyncio.get_running_loop().call_soon(rebalanced)  # before the next turn
        world.waker.restored()
        await world.looked()
        assert not world.at_row
        world.now_ms = MIDNIGHT_MS + 12 * HOUR_MS
        await world.look_again()
    assert world.woken() == ["mine"]


async def test_a_broker_that_is_away_ends_the_waker_so_that_the_worker_starts_again() -> None:
    world = World(["u1"], now_ms=MIDNIGHT_MS + 12 * HOUR_MS)
    world.publisher.is_unavailable = True
    async with world.running() as task:
        world.waker.restored()
        with pytest.raises(PublishError):
            await task
