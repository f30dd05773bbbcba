"""Redis memory per user: feeds written by the pipeline, including keys and Redis' own overhead."""

from __future__ import annotations

from bench import history
from bench.load import EventLoad
from bench.rig import Rig
from infra.redis.stores.feed_store import KEY

_ASK = 500


async def measure(rig: Rig, load: EventLoad) -> dict[str, int]:
    """Return the mean size of a user's feed, as reported by Redis."""
    await history.ensure_folded(rig, load)
    names = [KEY + user_id for user_id in load.user_ids]
    sizes: list[int] = []
    for start in range(0, len(names), _ASK):
        rig.on_progress("weigh feeds", start, len(names))
        pipeline = rig.redis.pipeline(transaction=False)
        for name in names[start : start + _ASK]:
            pipeline.memory_usage(name)
        sizes += [size for size in await pipeline.execute() if size is not None]
    return {"bytes_per_user": round(sum(sizes) / len(sizes))}
