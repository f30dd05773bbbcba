"""The catalog as the topic of items holds it: the newest version of each item, independent of any read model."""

from __future__ import annotations

from collections.abc import Callable

from infra.kafka.consumer import kafka_consumer, partitions_of, started
from infra.kafka.registry import Registry
from schemas.codec import DecodeError
from schemas.types import Item
from topics.topic import ITEMS

_MAX_RECORDS, _TIMEOUT_MS = 5_000, 500


async def newest_items(
    bootstrap_servers: str, registry: Registry, predicate: Callable[[Item], bool]
) -> dict[str, Item]:
    """Return the current items of the catalog that match a predicate; records that cannot be decoded are ignored.

    Args:
        bootstrap_servers: Brokers, as comma-separated host:port.
        registry: Schema registry.
        predicate: Returns whether to keep an item, so that a large catalog need not fit into memory.
    """
    items: dict[str, Item] = {}
    partitions = partitions_of(ITEMS)
    async with started(kafka_consumer(bootstrap_servers, auto_offset_reset="earliest")) as consumer:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=_TIMEOUT_MS, max_records=_MAX_RECORDS)).values():
                for record in records:
                    item_id = (record.key or b"").decode(errors="replace")
                    item = None if record.value is None else await _decoded(registry, record.value)
                    if item is not None and predicate(item):
                        items[item_id] = item
                    elif record.value is None or item is not None:
                        items.pop(item_id, None)
    return items


async def _decoded(registry: Registry, value: bytes) -> Item | None:
    try:
        return await registry.decode(registry.codec(Item), value)
    except DecodeError:
        return None
