"""Throughput of one worker process over the whole pipeline, compared with other readers of the same topic.

The clock starts when the worker has loaded the catalogue and polls the first record. It ends with the broker's append
time of the last feed, which is published after the write to Redis. The worker's lag is polled once a second.
"""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import Any

from bench import history
from bench.load import EventLoad
from bench.log import last_append_ms, scan
from bench.peer import PEERS
from bench.rig import BenchError, Rig
from infra.error import OperatorError
from infra.redis.stores.feed_store import RedisFeedStore
from topics.topic import FEATURES, FEEDS

_READ = 500


async def measure(rig: Rig, load: EventLoad) -> dict[str, int]:
    """Return events per second of the pipeline and of its peers, one after the other on the same topic."""
    if find_spec("quixstreams") is None:
        raise OperatorError("Quix Streams is not installed.", "Install it with: pip install 'millrace[bench]'.")
    await history.publish(rig, load)
    started_ms = await history.fold(rig, load)
    ended_ms = await asyncio.to_thread(last_append_ms, rig.kafka, FEEDS)
    figures = {"millrace_eps": round(load.size.events / (ended_ms - started_ms) * 1_000)}
    await _check_feeds(rig)
    for peer in PEERS:
        rig.on_progress(f"read the topic: {peer}", 0, 0)
        figures[f"{peer}_eps"] = round((await rig.run_json("bench.peer", peer, str(load.size.events)))["eps"])
    return figures


async def _check_feeds(rig: Rig) -> None:
    """Verify that Redis holds the newest feed of every user.

    Raises:
        BenchError: a feed is missing or stale.
    """
    newest = await asyncio.to_thread(_versions, rig)
    store, users = RedisFeedStore(rig.redis), list(newest)
    for start in range(0, len(users), _READ):
        chunk = users[start : start + _READ]
        for user_id, feed in zip(chunk, await store.read(chunk), strict=True):
            if feed is None or feed.features_version < newest[user_id]:
                raise BenchError(f"the newest feed of {user_id} is not in Redis")


def _versions(rig: Rig) -> dict[str, int]:
    codec = rig.registry.codec(FEATURES.record)
    versions: dict[str, int] = {}
    for message in scan(rig.kafka, FEATURES):
        features: Any = codec.decode(message.value())
        versions[features.user_id] = max(features.version, versions.get(features.user_id, 0))
    return versions
