"""Handing over: what has nothing to wait for is done at once, what has is waited for as Faust does."""

from __future__ import annotations

import asyncio

import pytest
from mode import Service

from streams.transport.consumer import Consumer


@pytest.fixture
async def consumer() -> Consumer:
    """A consumer of nothing: only what every service has is there."""
    consumer = Consumer.__new__(Consumer)
    Service.__init__(consumer)
    return consumer


async def test_what_waits_for_nothing_is_done_in_the_same_turn(consumer: Consumer) -> None:
    turns: list[str] = []

    async def hand_over() -> str:
        turns.append("handed over")
        return "done"

    asyncio.get_running_loop().call_soon(turns.append, "another turn")
    result = await consumer.wait_first(hand_over(), asyncio.Event().wait())
    assert (result.results, turns) == (["done"], ["handed over"])


async def test_what_waits_is_waited_for(consumer: Consumer) -> None:
    free = asyncio.Event()

    async def hand_over() -> str:
        await free.wait()
        await asyncio.sleep(0)
        return "done"

    waiting = asyncio.ensure_future(consumer.wait_first(hand_over(), asyncio.Event().wait()))
    await asyncio.sleep(0)
    assert not waiting.done()
    free.set()
    assert (await waiting).results == ["done"]


async def test_the_other_wins_where_the_first_waits_longer(consumer: Consumer) -> None:
    cut_off = asyncio.Event()

    async def hand_over() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cut_off.set()

    suspension = asyncio.Event()
    suspension.set()
    result = await consumer.wait_first(hand_over(), suspension.wait())
    assert result.results == [True]
    await asyncio.wait_for(cut_off.wait(), 5)


async def test_what_fails_at_once_or_later_raises(consumer: Consumer) -> None:
    async def hand_over(*, later: bool) -> None:
        if later:
            await asyncio.sleep(0)
        raise LookupError

    for later in (False, True):
        with pytest.raises(LookupError):
            await consumer.wait_first(hand_over(later=later), asyncio.Event().wait())
