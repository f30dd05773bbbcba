"""Waiting out a store that is away, and not one that refuses a value.

What would be written or read while a store is away is not lost, only late. What a store refuses would be refused for
ever: it is set aside, and the rest goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from infra.kafka.publisher import PublishError
from infra.redis.connection import StoreError, StoreRefusedError

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


async def retry_until_available(
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

    Raises:
        RefusedError: the store refuses a value.
    """
    while True:
        try:
            return await work()
        except StoreRefusedError:
            raise
        except away as error:
            _LOG.warning("%s: %s", waits, error)
            await asyncio.sleep(pause_s)


async def write_one_by_one(
    entries: Sequence[T],
    write: Callable[[Sequence[T]], Awaitable[object]],
    refuse: Callable[[T, Exception], None],
    *,
    waits: str,
) -> None:
    """Write entries, however long a store is away. An entry at which it fails is refused, and all others are written.

    Args:
        entries: What to write.
        write: Writes some of them, in one go; what was written before may be written again.
        refuse: Takes an entry that cannot be written, and why.
        waits: Who waits for what, for the log.

    Raises:
        PublishError: the broker is away.
    """
    if not entries:
        return
    try:
        await retry_until_available(lambda: write(entries), waits)
    except PublishError:
        raise
    except Exception as error:
        if len(entries) == 1:
            refuse(entries[0], error)
            return
        half = len(entries) // 2
        for chunk in (entries[:half], entries[half:]):
            await write_one_by_one(chunk, write, refuse, waits=waits)
