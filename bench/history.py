"""Initial data of the pipeline: a catalogue, two weeks of interactions, and the co-occurrences learned from them."""

from __future__ import annotations

from bench.folded import neighbor_rows
from bench.load import EventLoad
from bench.rig import Rig
from infra.redis import heartbeat
from streams.core.learning.learner import Learner
from streams.core.position import Position
from streams.roles.trainer.learner_params import learner_params
from topics.topic import INTERACTIONS, ITEM_NEIGHBORS, ITEMS

_TELL_EVERY = 1_000


async def publish(rig: Rig, load: EventLoad) -> None:
    """Publish the history to empty topics, and the links learned from it, without folding."""
    await rig.reset()
    await rig.publish(ITEMS, load.items, total=load.size.items)
    await rig.publish(INTERACTIONS, load.history(), total=load.size.events)
    learner = Learner(learner_params(rig.settings), refits_item_weights=False)
    for number, event in enumerate(load.history()):
        if number % _TELL_EVERY == 0:
            rig.on_progress("learn links in this process", number, load.size.events)
        learner.learn(event, Position(0, number, event.occurred_at), learn_weights=False)
    await rig.publish(ITEM_NEIGHBORS, neighbor_rows(learner), total=len(learner.catalog.items))


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
