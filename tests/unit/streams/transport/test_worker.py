"""The end of a Faust app, as its role sees it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from streams.transport.worker import run


class App:
    """An app that ends by itself, at once, and reports a reason once it is stopped."""

    def __init__(self, reason: BaseException | None) -> None:
        self.crash_reason: BaseException | None = None
        self._reason = reason

    def finalize(self) -> None:
        pass

    async def start(self) -> None:
        pass

    async def wait_until_stopped(self) -> None:
        pass

    async def stop(self) -> None:
        self.crash_reason = self._reason


@pytest.mark.parametrize("reason", [None, asyncio.CancelledError()])
async def test_an_app_that_ends_by_itself_is_an_error_also_if_only_cancelled_agents_are_reported(reason: Any) -> None:
    with pytest.raises(RuntimeError, match="ended by itself"):
        await run(cast(Any, App(reason)), asyncio.Event())


async def test_the_error_that_crashed_the_app_is_raised() -> None:
    with pytest.raises(ValueError, match="broken"):
        await run(cast(Any, App(ValueError("broken"))), asyncio.Event())
