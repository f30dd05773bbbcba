"""Waiting for a condition that nothing announces."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

_LOOK_EVERY_S = 0.005


async def until(condition: Callable[[], Any], *, timeout_s: float = 5.0) -> None:
    """Wait until a condition is true.

    Args:
        condition: Returns the truth, or an awaitable of it.
        timeout_s: Longest wait, in seconds.

    Raises:
        TimeoutError: it has not become true in time.
    """
    async with asyncio.timeout(timeout_s):
        while True:
            value = condition()
            if await value if inspect.isawaitable(value) else value:
                return
            await asyncio.sleep(_LOOK_EVERY_S)
