"""The catalog as the topic of items holds it: the newest version of each item, independent of any read model."""

from __future__ import annotations

from collections.abc import Callable

from aiokafka import TopicPartition

from infra.kafka.consumer import kafka_consumer
from infra.kafka.registry import Registry
from schemas.codec import DecodeError, UnseenSchemaError
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
        wanted: Says whether to keep an item, so that a large catalog need not fit into memory.
    """
    consumer = kafka_consumer(bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    items: dict[str, Item] = {}
    try:
        partitions = [TopicPartition(ITEMS.name, number) for number in range(ITEMS.partitions)]
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
    finally:
        await consumer.stop()
    return items


async def _decoded(registry: Registry, value: bytes) -> Item | None:
    codec = registry.codec(Item)
    try:
        try:
            item: Item = codec.decode(value)
        except UnseenSchemaError as unseen:
            await registry.learn(codec, unseen.schema_id)
            item = codec.decode(value)
    except DecodeError:
        return None
    return item
