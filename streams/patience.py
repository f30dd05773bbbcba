"""Waiting out a store that is away: what would be written or read then is not lost, only late."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from infra.redis_client import StoreError

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


async def patiently(
    work: Callable[[], Awaitable[T]],
    waits: str,
    *,
    away: tuple[type[Exception], ...] = (StoreError,),
    pause_s: float = 0.5,
) -> T:
    """Do some work, however long a store is away, and return what came of it.

    Args:
        work: What to do; it is begun again from the start.
        waits: Who waits for what, for the log.
        away: What says that the store is away.
        pause_s: Time between two tries.
    """
    while True:
        try:
            return await work()
        except away as error:
            _LOG.warning("%s: %s", waits, error)
            await asyncio.sleep(pause_s)
