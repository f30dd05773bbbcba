"""Relearning: the time from kill -9 of the trainer until it has learned everything again, from a snapshot.

Beside it, the time of its first start, which learned all interactions from their topic, as without a snapshot.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from bench.load import EventLoad, Size
from bench.rig import Rig
from infra.redis import heartbeat
from topics.topic import INTERACTIONS, ITEMS

_INTERVAL_S = "1"
"""Interval of snapshots; without live events, the last one includes everything."""
_POLL_S = 0.2
_WITHIN_S = 1_800.0


async def measure(rig: Rig, load: EventLoad, *, size: Size) -> dict[str, float]:
    """Return the seconds of a start from the topic, and from a kill to the end of the start from a snapshot."""
    load = load.resized(size)
    await rig.reset()
    await rig.publish(ITEMS, load.items, total=size.items)
    await rig.publish(INTERACTIONS, load.history(), total=size.events)
    arguments = ("-m", "cli.main", "worker", "--roles", "trainer")
    async with rig.process("worker trainer", *arguments, TRAINER_SNAPSHOT_INTERVAL_S=_INTERVAL_S) as worker:
        rig.on_progress("learn the history", 0, 0)
        first = await _started(rig, lambda beat: _in_snapshot(beat) == size.events)
        rig.on_progress("kill the trainer and wait for it", 0, 0)
        worker.kill()
        killed_s = time.perf_counter()
        second = await _started(rig, lambda beat: beat["pid"] != first["pid"])
        seconds = time.perf_counter() - killed_s
    return {
        "events": size.events,
        "topic_s": first["start"]["seconds"],
        "snapshot_s": round(seconds, 2),
        "read_again": second["start"]["interactions"],
        "snapshot_bytes": first["snapshot"]["bytes"],
        "snapshot_pause_s": first["snapshot"]["pause_s"],
    }


async def _started(rig: Rig, is_ready: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait for a trainer that follows its topics and fulfils a condition, and return its heartbeat."""
    async with asyncio.timeout(_WITHIN_S):
        while True:
            for beat in await heartbeat.heartbeats(rig.redis):
                if beat["role"] == "trainer" and "seconds" in beat["start"] and is_ready(beat):
                    return beat
            await asyncio.sleep(_POLL_S)


def _in_snapshot(beat: dict[str, Any]) -> int:
    """Return the number of interactions in the last snapshot that is written."""
    return int(beat["snapshot"]["interactions"]) if "bytes" in beat["snapshot"] else 0
