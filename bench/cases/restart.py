"""Restart: the time from kill -9 of a worker with many users in its table to feeds that reflect later events.

Its supervisor restarts the worker, as under `millrace up`, with the tables on disk.
"""

from __future__ import annotations

import asyncio
import random
import time

from bench.load import EventLoad, Size
from bench.rig import Rig
from infra.redis.stores.feed_store import RedisFeedStore
from topics.topic import INTERACTIONS, ITEMS

USERS = 32
"""Number of users to wait for, enough for every partition."""
_POLL_S = 0.02
_WITHIN_S = 120.0


async def measure(rig: Rig, load: EventLoad, *, users: int) -> dict[str, float]:
    """Return the seconds until the feeds of all sampled users are fresh again."""
    load = load.resized(Size(events=users, users=users, items=load.size.items))
    await rig.reset()
    await rig.publish(ITEMS, load.items, total=load.size.items)
    await rig.publish(INTERACTIONS, load.one_event_each(), total=load.size.users)
    async with rig.worker("feed") as worker:
        await rig.wait_until_idle("fill the table", "feed")
        rig.on_progress("kill the worker and wait for it", 0, 0)
        worker.kill()
        killed_s = time.perf_counter()
        ranks = random.Random(1).sample(range(load.size.users), USERS)  # noqa: S311 - some users, not a secret
        at_ms = int(time.time() * 1_000)
        events = list(load.events_of(ranks, at_ms=at_ms))
        await rig.publisher.publish(INTERACTIONS, events)
        await _fresh(rig, [event.user_id for event in events], at_ms)
        return {"seconds": round(time.perf_counter() - killed_s, 2)}


async def _fresh(rig: Rig, user_ids: list[str], at_ms: int) -> None:
    store = RedisFeedStore(rig.redis)
    async with asyncio.timeout(_WITHIN_S):
        while True:
            feeds = await store.read(user_ids)
            if all(feed is not None and feed.watermark >= at_ms for feed in feeds):
                return
            await asyncio.sleep(_POLL_S)
