"""What waits for a store is done once the store is back, and what it refuses stands in nobody's way."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.kafka.publisher import PublishError
from infra.redis.connection import StoreError, StoreRefusedError
from streams.runtime.retry import retry_until_available, write_one_by_one


class Store:
    """Is away as often as it is told."""

    def __init__(self, away: int, error: Exception) -> None:
        self.calls, self._away, self._error = 0, away, error

    async def read(self) -> str:
        self.calls += 1
        if self.calls <= self._away:
            raise self._error
        return "found"


async def test_work_is_begun_again_until_the_store_answers(caplog: pytest.LogCaptureFixture) -> None:
    store = Store(2, StoreError("reading", OSError("gone")))
    assert await retry_until_available(store.read, "feeds wait for the store", pause_s=0.0) == "found"
    assert store.calls == 3
    assert caplog.messages == ["feeds wait for the store: reading: OSError: gone"] * 2


async def test_what_does_not_say_that_the_store_is_away_is_raised_at_once() -> None:
    store = Store(1, ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        await retry_until_available(store.read, "feeds wait for the store", pause_s=0.0)
    assert store.calls == 1


class Shop:
    """A store that refuses some values, and is away at times."""

    def __init__(self, bad: Collection[int], *, error: type[Exception] = ValueError, away: int = 0) -> None:
        self.bad, self._error, self._away = bad, error, away
        self.written_values: set[int] = set()
        self.calls = 0

    async def write(self, values: Sequence[int]) -> None:
        self.calls += 1
        if self._away:
            self._away -= 1
            raise StoreError("writing", OSError("away"))
        for value in values:
            if value in self.bad:
                raise self._error(f"{value} is refused")
            self.written_values.add(value)


@given(st.sets(st.integers(0, 60)), st.integers(0, 60))
async def test_what_a_store_refuses_is_found_and_all_else_is_written(bad: set[int], count: int) -> None:
    shop, refusals = Shop(bad), []
    await write_one_by_one(
        range(count), shop.write, lambda value, error: refusals.append((value, str(error))), log_message="x"
    )
    assert refusals == [(value, f"{value} is refused") for value in sorted(bad) if value < count]
    assert shop.written_values == set(range(count)) - bad


async def test_one_bad_value_among_many_costs_few_calls() -> None:
    shop = Shop({3_777})
    await write_one_by_one(range(5_000), shop.write, lambda value, error: None, log_message="x")
    assert shop.calls <= 2 * 13 + 1


async def test_a_refusal_of_the_store_is_one_and_not_a_store_that_is_away() -> None:
    class RefusalError(StoreRefusedError):
        def __init__(self, text: str) -> None:
            super().__init__(text, ValueError())

    shop, refusals = Shop({2}, error=RefusalError), []
    async with asyncio.timeout(5):
        await write_one_by_one(range(4), shop.write, lambda value, _: refusals.append(value), log_message="x")
    assert (refusals, shop.written_values) == ([2], {0, 1, 3})


async def test_a_store_that_is_away_is_waited_for_and_a_broker_is_not() -> None:
    shop = Shop((), away=1)
    await write_one_by_one(range(4), shop.write, lambda value, error: pytest.fail(str(error)), log_message="x")
    assert (shop.written_values, shop.calls) == ({0, 1, 2, 3}, 2)

    async def publish(_: Sequence[int]) -> None:
        raise PublishError("t", "the broker is away")

    with pytest.raises(PublishError):
        await write_one_by_one(range(4), publish, lambda value, error: pytest.fail(str(error)), log_message="x")
