"""Memory footprint of a user in Redis, in the table and in a worker's cache, and of an item in a worker's snapshot.

Redis reports the size of feeds; states are measured in their encoded form, the rest by Python's tracemalloc plus the
index's own report. Small samples are measured and extrapolated to a million users and 100,000 items.
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np

from bench import folded, history
from bench.load import EventLoad, Size
from bench.rig import Rig
from infra.redis.stores.feed_store import KEY
from models.neighbours.cooccurrence import DecayedCooccurrence
from models.neighbours.sparse_links import MOST_LINKS
from schemas.types import Item, ItemStats
from streams.core.item.item_stats import COHORTS, HORIZON_RATES
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.user.user_state import UserState

_GB = 2**30
_USERS, _ITEMS = 1_000_000, 100_000
_FEWER, _MORE = 16_384, 32_768
"""Numbers of items of the two compared snapshots, which fill their columns exactly."""
_LINKED_ITEMS = 10_000
_FULL_EVENTS = 2_000
"""Events of a user with all lists full."""
_SEGMENTS = 4
_FORMAT_BYTES = 1
_ASK = 500
"""Feeds weighed per request."""


async def measure(rig: Rig, load: EventLoad) -> dict[str, float]:
    """Return gigabytes per million users and per 100,000 items, by location."""
    redis = (await measure_redis(rig, load))["bytes_per_user"]
    rig.on_progress("weigh users and items", 0, 0)
    return await asyncio.to_thread(_weighed, load, redis)


async def measure_redis(rig: Rig, load: EventLoad) -> dict[str, int]:
    """Return the mean size of a user's feed in Redis, with its key and the overhead."""
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


def _weighed(load: EventLoad, redis_bytes: float) -> dict[str, float]:
    users = list(folded.states(load, CatalogSnapshot())[0].values())
    (full,) = folded.states(load.resized(Size(_FULL_EVENTS, 1, load.size.items)), CatalogSnapshot())[0].values()
    encoded_states, in_cache = _states(users)
    (fewer_bytes, _), (more_bytes, index_bytes) = _snapshot_bytes(_FEWER), _snapshot_bytes(_MORE)
    snapshot_item_bytes, index_item_bytes = (more_bytes - fewer_bytes) / (_MORE - _FEWER), index_bytes / _MORE
    return {
        "users_1m_redis_gb": _scaled(redis_bytes, _USERS),
        "users_1m_table_gb": _scaled(encoded_states, _USERS),
        "users_1m_cache_gb": _scaled(in_cache, _USERS),
        "users_1m_gb": _scaled(redis_bytes + in_cache, _USERS),
        "full_user_table_bytes": _states([full])[0],
        "events_per_user": round(load.size.events / len(users)),
        "items_100k_view_gb": _scaled(snapshot_item_bytes, _ITEMS),
        "items_100k_index_gb": _scaled(index_item_bytes, _ITEMS),
        "links_10k_full_gb": _scaled(_allocated(_full_links)[1], 1),
        "items_100k_gb": _scaled(snapshot_item_bytes + index_item_bytes, _ITEMS),
    }


def _states(users: list[UserState]) -> tuple[float, float]:
    """Return the mean bytes of encoded states, and of states in a worker's cache."""
    encoded_states = [msgspec.msgpack.encode(state) for state in users]
    size = sum(map(len, encoded_states)) / len(users) + _FORMAT_BYTES
    return size, mean_object_bytes(encoded_states, UserState)


def mean_object_bytes(encoded_states: list[bytes], kind: type[msgspec.Struct]) -> float:
    """Return the mean memory of states as objects.

    Args:
        encoded_states: The states as MessagePack.
        kind: Their type.
    """
    decode = msgspec.msgpack.Decoder(kind).decode
    return _allocated(lambda: [decode(state) for state in encoded_states])[1] / len(encoded_states)


def _snapshot_bytes(count: int) -> tuple[int, int]:
    """Return the bytes of a snapshot of `count` items with full metadata, and of its index."""

    def filled() -> CatalogSnapshot:
        snapshot = CatalogSnapshot(exact_items=0)
        for item, stats in _items_with_stats(count):
            snapshot.apply_item(item)
            snapshot.apply_stats(stats)
        while snapshot.refresh():
            pass
        return snapshot

    snapshot, allocated_bytes = _allocated(filled)
    return allocated_bytes, snapshot.content_index.bytes_used


def _items_with_stats(count: int) -> Iterator[tuple[Item, ItemStats]]:
    """Yield decoded items with statistics; only the snapshot holds references to them."""
    encode, decode = msgspec.msgpack.encode, msgspec.msgpack.Decoder(Item).decode
    for item in EventLoad(Size(0, 0, count), now_ms=0).items:
        stats = ItemStats(
            item_id=item.item_id,
            trending=0.0,
            popularity=0.0,
            watermark=0,
            segments={f"segment {number}": 0.0 for number in range(_SEGMENTS)},
            horizons=[0.0] * len(HORIZON_RATES),
            cohorts=[0.0] * COHORTS,
        )
        yield decode(encode(item)), stats


def _full_links() -> DecayedCooccurrence:
    """Return the links of a worker in which every item has as many as a row holds."""
    table, others = DecayedCooccurrence(is_learned=False), np.arange(MOST_LINKS, dtype=np.int32)
    for item in range(_LINKED_ITEMS):
        table.put(item, others, np.ones((2, MOST_LINKS)), event_count=1.0, reference_ms=0)
    return table


def _allocated(make: Callable[[], Any]) -> tuple[Any, int]:
    """Return a new object, and the bytes allocated for it."""
    gc.collect()
    tracemalloc.start()
    result = make()
    gc.collect()
    allocated_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return result, allocated_bytes


def _scaled(each: float, count: int) -> float:
    return round(each * count / _GB, 3)
