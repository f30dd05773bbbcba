"""Initial data of the pipeline: a catalogue, two weeks of interactions, and the co-occurrences learned from them."""

from __future__ import annotations

from bench.load import EventLoad
from bench.rig import Rig
from infra.redis import heartbeat
from topics.topic import INTERACTIONS, ITEMS


async def publish(rig: Rig, load: EventLoad) -> None:
    """Publish the history to empty topics and let the trainer learn it, without folding."""
    await rig.reset()
    await rig.publish(ITEMS, load.items, total=load.size.items)
    await rig.publish(INTERACTIONS, load.history(), total=load.size.events)
    async with rig.worker("trainer"):
        await rig.wait_until_idle("let the trainer learn", "trainer")


async def fold(rig: Rig, load: EventLoad) -> int:
    """Fold and rank the history in one worker process; return its time of readiness in ms since the epoch."""
    async with rig.worker("feed"):
        await rig.wait_until_idle("fold and rank", "feed")
        heartbeat_list = await heartbeat.heartbeats(rig.redis)
    rig.folded_size = load.size
    return next(int(beat["ready_at"]) for beat in heartbeat_list if beat["role"] == "feed")


async def ensure_folded(rig: Rig, load: EventLoad) -> None:
    """Publish, fold and rank the history, unless a previous case already did."""
    if rig.folded_size != load.size:
        await publish(rig, load)
        await fold(rig, load)
