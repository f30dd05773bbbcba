"""Throughput of one worker process through the whole path, beside what reading the same topic costs other ways.

The clock of the pipeline is the broker's, which stamps every record when it is appended. It starts with the first item
signal, which the first batch to be folded gives, so the records of one batch are left out of the count; it ends with
the last feed, which is published once it is in Redis. Meanwhile the worker is only asked once a second what is left.
"""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import Any

from bench import history
from bench.load import Load
from bench.log import scan
from bench.peer import PEERS
from bench.rig import BenchError, Rig
from infra.error import OperatorError
from infra.feed_store import RedisFeedStore
from topics.topic import FEATURES, FEEDS, ITEM_SIGNALS

_READ = 500


async def measure(rig: Rig, load: Load) -> dict[str, int]:
    """Return events per second of the pipeline and of its peers, one after the other on the same topic."""
    if find_spec("quixstreams") is None:
        raise OperatorError("Quix Streams is not installed.", "Install it with: pip install 'millrace[bench]'.")
    await history.publish(rig, load)
    await history.fold(rig, load)
    figures = {"millrace_eps": round(await asyncio.to_thread(_per_s, rig, load))}
    await _check_feeds(rig)
    for peer in PEERS:
        rig.on_progress(f"read the topic: {peer}", 0, 0)
        figures[f"{peer}_eps"] = round((await rig.ask("bench.peer", peer, str(load.size.events)))["eps"])
    return figures


def _per_s(rig: Rig, load: Load) -> float:
    started_ms: int = min(message.timestamp()[1] for message in scan(rig.kafka, ITEM_SIGNALS))
    ended_ms: int = max(message.timestamp()[1] for message in scan(rig.kafka, FEEDS))
    counted = load.size.events - min(rig.settings.batch_records, load.size.events // 2)
    return counted / (ended_ms - started_ms) * 1000


async def _check_feeds(rig: Rig) -> None:
    """Make sure that everybody's newest feed lies in Redis."""
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
