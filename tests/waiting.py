"""Waiting for a condition that nothing announces."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any


async def until(
    condition: Callable[[], Any], *, timeout_s: float = 5.0, look_every_s: float = 0.005, what: str = ""
) -> Any:
    """Wait until a condition is true, and return its value.

    Args:
        condition: Returns a value, or an awaitable of it.
        timeout_s: Longest wait, in seconds.
        look_every_s: Time between two looks, in seconds.
        what: The condition in words, for the error.

    Raises:
        TimeoutError: it has not become true in time.
    """
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                value = condition()
                if inspect.isawaitable(value):
                    value = await value
                if value:
                    return value
                await asyncio.sleep(look_every_s)
    except TimeoutError as error:
        raise TimeoutError(f"not within {timeout_s:g} s: {what or condition}") from error
