"""Rounds of work on the archive that repeat at a steady pace."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from infra.redis.connection import StoreError

INTERVAL_S = 20.0
"""Time from the beginning of a round to that of the next one, in seconds."""
_LOG = logging.getLogger(__name__)


async def repeat(work: Callable[[], Awaitable[None]], *, max_share: float) -> None:
    """Work in rounds until cancelled. A server that does not answer delays the round.

    Args:
        work: One round.
        max_share: Share of the time that rounds may take: after long ones the next one waits longer.

    Raises:
        PublishError: a definition was not written.
    """
    while True:
        began_s = time.monotonic()
        try:
            await work()
        except StoreError as error:
            _LOG.warning("experiments wait for a store: %s", error)
        took_s = time.monotonic() - began_s
        await asyncio.sleep(max(INTERVAL_S - took_s, took_s * (1.0 / max_share - 1.0)))
