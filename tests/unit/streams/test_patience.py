"""What waits for a store is done once the store is back."""

from __future__ import annotations

import pytest

from infra.redis_client import StoreError
from streams.patience import patiently


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
    assert await patiently(store.read, "feeds wait for the store", pause_s=0.0) == "found"
    assert store.calls == 3
    assert caplog.messages == ["feeds wait for the store: reading: OSError: gone"] * 2


async def test_what_does_not_say_that_the_store_is_away_is_raised_at_once() -> None:
    store = Store(1, ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        await patiently(store.read, "feeds wait for the store", pause_s=0.0)
    assert store.calls == 1
