"""Having a worker rank: the call is published, and what the worker leaves in the store is waited for."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from api.context import ApiContext
from api.http.error import ApiError, BrokerAwayError, BusyError, LateError, StoreAwayError
from api.security.principal import authorize_user
from infra.redis.stores.feed_store import reranked
from schemas.types import Feed, Trigger
from topics.topic import TRIGGERS

ERRORS: tuple[type[ApiError], ...] = (BrokerAwayError, StoreAwayError, BusyError, LateError)
"""What may come of it."""
_LOOK_S = 0.25
"""How often an answer is looked for by itself: one that went unheard is seen by then."""


async def ranked(context: ApiContext, trigger: Trigger) -> Feed:
    """Return the items that a trigger names as a worker ranks them; the same trigger has the same answer for a while.

    Raises:
        InvalidError: one of its values cannot be used.
        ForbiddenError: who asks may not speak for its user.
        BusyError: as many wait as may.
        LateError: no worker answered in time.
    """
    authorize_user(trigger.user_id)
    trigger = context.admitted(trigger)
    if context.reranks.locked():
        raise BusyError(context.settings.api_max_listeners)
    async with context.reranks:
        return await _answer(context, trigger)


async def _answer(context: ApiContext, trigger: Trigger) -> Feed:
    feeds, name = context.clients.feeds, reranked(trigger)
    async with feeds.listen(name) as changed:
        [feed] = await feeds.read([name])
        if feed is None:
            await context.send(TRIGGERS, [trigger])
            feed = await _wait(context, name, changed)
        return feed


async def _wait(context: ApiContext, name: str, changed: asyncio.Event) -> Feed:
    timeout_s = context.settings.api_rerank_timeout_s
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), _LOOK_S)
                changed.clear()
                [feed] = await context.clients.feeds.read([name])
                if feed is not None:
                    return feed
    except TimeoutError as error:
        raise LateError(timeout_s) from error
