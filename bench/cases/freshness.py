"""Freshness: the latency from the due time of an event to the feed in Redis that reflects it.

Open loop: events are due at fixed times, and each latency counts from the due time, not from the send time, so that a
stall counts for every event that it delays. A feed reflects an event when its watermark is the event's time or later;
no two events have the same time. Redis publishes the version of each replaced feed, which is recorded with the time;
the watermarks are read from the feeds topic afterwards, so that the measurement itself costs almost nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from bench import history
from bench.latency import summary_ms
from bench.load import EventLoad
from bench.log import scan
from bench.rig import BenchError, Rig
from infra.kafka.admin.offsets import Partition, end_offsets
from infra.redis.stores.feed_codec import VERSION_CHARS
from infra.redis.stores.feed_pubsub import CHANNEL
from schemas.types import Interaction
from topics.topic import FEEDS, INTERACTIONS

RATES_PER_S = (200, 1_000)
_LEAD_S = 1.0
_STAMP_CHARS = VERSION_CHARS // 2

Version = tuple[str, int, int]
"""Identity of a feed: user, features version and time of ranking."""


async def measure(rig: Rig, load: EventLoad, *, seconds: float) -> dict[str, dict[str, float]]:
    """Return the percentiles of latency at each rate, with one process of each role running."""
    await history.ensure_folded(rig, load)
    percentiles = {}
    async with rig.worker("feed"), rig.worker("links"), rig.worker("trainer"):
        for rate_per_s in RATES_PER_S:
            await rig.wait_until_idle("let the workers start", "feed", "links", "trainer")
            percentiles[str(rate_per_s)] = summary_ms(await run(rig, load, rate_per_s, seconds=seconds))
    rig.folded_size = None
    return percentiles


async def run(rig: Rig, load: EventLoad, rate_per_s: int, *, seconds: float) -> list[float]:
    """Return the latency of each event, in ms; the workers must be running."""
    since = await asyncio.to_thread(end_offsets, rig.admin, [FEEDS])
    count, step_ms = int(seconds * rate_per_s), 1_000 // rate_per_s
    start_ms = int((time.time() + _LEAD_S) * 1_000)
    events = load.live(count, start_ms=start_ms, step_ms=step_ms, salt=rate_per_s)
    async with _noting(rig.redis) as replaced_s:
        await publish(rig, events, rate_per_s=rate_per_s)
        await rig.wait_until_idle("wait for the last feeds", "feed", "links", "trainer")
    watermarks = await asyncio.to_thread(_watermarks, rig, since)
    return latencies_ms(events, replaced_s, watermarks)


async def publish(rig: Rig, events: Sequence[Interaction], *, rate_per_s: int) -> None:
    """Publish each event when it is due."""
    for number, event in enumerate(events):
        early_s = event.occurred_at / 1000 - time.time()
        if early_s > 0:
            await asyncio.sleep(early_s)
        rig.publisher.produce(INTERACTIONS, event)
        if number % rate_per_s == 0:
            rig.on_progress(f"publish {rate_per_s} events/s", number, len(events))
    await rig.publisher.flush()


@asynccontextmanager
async def _noting(redis: Redis) -> AsyncIterator[dict[Version, float]]:
    """Record the times of feed replacements, in s since the epoch."""
    replaced_s: dict[Version, float] = {}

    async def note(pubsub: Any) -> None:
        async for message in pubsub.listen():
            now_s, version = time.time(), message["data"]
            user_id = message["channel"].decode().removeprefix(CHANNEL)
            replaced_s[user_id, int(version[:_STAMP_CHARS]), int(version[_STAMP_CHARS:])] = now_s

    async with redis.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.psubscribe(f"{CHANNEL}*")
        noting = asyncio.create_task(note(pubsub))
        try:
            yield replaced_s
        finally:
            noting.cancel()
            await asyncio.gather(noting, return_exceptions=True)


def _watermarks(rig: Rig, since: Mapping[Partition, int]) -> dict[Version, int]:
    codec = rig.registry.codec(FEEDS.record)
    feeds: list[Any] = [codec.decode(message.value()) for message in scan(rig.kafka, FEEDS, since=since)]
    return {(feed.user_id, feed.features_version, feed.generated_at): feed.watermark for feed in feeds}


def latencies_ms(
    events: Sequence[Interaction], replaced_s: Mapping[Version, float], watermarks: Mapping[Version, int]
) -> list[float]:
    """Return the latency of each event until its user's feed, in ms.

    Args:
        events: Events in the order of their times.
        replaced_s: Times of feed replacements, in s since the epoch.
        watermarks: Time of the newest event that each feed reflects.

    Raises:
        BenchError: no feed reflects an event.
    """
    feeds: dict[str, list[tuple[float, int]]] = {}
    for version, at_s in sorted(replaced_s.items(), key=lambda entry: entry[1]):
        if version in watermarks:
            feeds.setdefault(version[0], []).append((at_s, watermarks[version]))
    cursors: dict[str, int] = {}
    latencies = []
    for event in events:
        replacements = feeds.get(event.user_id, [])
        at = cursors.get(event.user_id, 0)
        while at < len(replacements) and replacements[at][1] < event.occurred_at:
            at += 1
        if at == len(replacements):
            raise BenchError(f"event {event.event_id} never came to the feed of {event.user_id}")
        cursors[event.user_id] = at
        latencies.append(replacements[at][0] * 1000 - event.occurred_at)
    return latencies
