"""Re-ranking by a worker: the request is published, and the result is awaited in the feed store."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from api.context import ApiContext
from api.http.error import ApiError, BrokerUnavailableError, BusyError, RerankTimeoutError, StoreUnavailableError
from infra.redis.stores.feed_store import reranked
from schemas.types import Feed, Trigger
from topics.topic import TRIGGERS

ERRORS: tuple[type[ApiError], ...] = (BrokerUnavailableError, StoreUnavailableError, BusyError, RerankTimeoutError)
"""Errors of a re-ranking."""
_POLL_S = 0.25
"""Polling interval for the result: a lost notification delays it by at most this long."""


async def ranked(context: ApiContext, trigger: Trigger) -> Feed:
    """Return the candidates of a trigger as a worker ranks them; a repeated trigger returns the stored result.

    Raises:
        InvalidError: the trigger is invalid.
        BusyError: too many requests wait for a worker.
        RerankTimeoutError: no worker answered in time.
    """
    trigger = context.validated(trigger)
    if context.reranks.locked():
        raise BusyError(context.settings.api_max_listeners)
    async with context.reranks:
        return await _rank_once(context, trigger)


async def _rank_once(context: ApiContext, trigger: Trigger) -> Feed:
    feeds, name = context.clients.feeds, reranked(trigger)
    async with feeds.listen(name) as change:
        [feed] = await feeds.read([name])
        if feed is None:
            await context.send(TRIGGERS, [trigger])
            feed = await _wait(context, name, change)
        return feed


async def _wait(context: ApiContext, name: str, change: asyncio.Event) -> Feed:
    timeout_s = context.settings.api_rerank_timeout_s
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(change.wait(), _POLL_S)
                change.clear()
                [feed] = await context.clients.feeds.read([name])
                if feed is not None:
                    return feed
    except TimeoutError as error:
        raise RerankTimeoutError(timeout_s) from error
