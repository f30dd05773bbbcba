"""Retries while a store is unavailable, but not when it refuses a value.

Reads and writes during an outage are delayed, not lost. A refused value would be refused for ever: it becomes a dead
letter, and the rest continues.
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
    log_message: str,
    *,
    outages: tuple[type[Exception], ...] = (StoreError,),
    pause_s: float = 0.5,
) -> T:
    """Do some work, however long a store is unavailable, and return the result.

    Args:
        work: The work; each attempt starts it from the beginning.
        log_message: The log message of a failed attempt.
        outages: The exceptions that mean that the store is unavailable.
        pause_s: Time between two attempts, in seconds.

    Raises:
        StoreRefusedError: the store refuses a value.
    """
    while True:
        try:
            return await work()
        except StoreRefusedError:
            raise
        except outages as error:
            _LOG.warning("%s: %s", log_message, error)
            await asyncio.sleep(pause_s)


async def write_one_by_one(
    entries: Sequence[T],
    write: Callable[[Sequence[T]], Awaitable[object]],
    reject: Callable[[T, Exception], None],
    *,
    log_message: str,
) -> None:
    """Write entries, however long a store is unavailable; failing entries are refused, and all others are written.

    A failing group is split in halves until single entries fail.

    Args:
        entries: The entries.
        write: Writes some of them at once; it may be called again with entries written before.
        reject: Receives an entry that cannot be written, and the error.
        log_message: The log message while the store is unavailable.

    Raises:
        PublishError: the broker is unavailable.
    """
    if not entries:
        return
    try:
        await retry_until_available(lambda: write(entries), log_message)
    except PublishError:
        raise
    except Exception as error:
        if len(entries) == 1:
            reject(entries[0], error)
            return
        half = len(entries) // 2
        for chunk in (entries[:half], entries[half:]):
            await write_one_by_one(chunk, write, reject, log_message=log_message)
