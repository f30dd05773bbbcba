"""Table writes outside of a stream's iteration."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from faust.streams import _current_event
from faust.types import TP, EventT
from rocksdict import BottommostLevelCompaction, CompactOptions


class StaleEventError(RuntimeError):
    """The event's partition was revoked or sought since it was read: another worker may own its keys."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic, self.partition = topic, partition
        super().__init__(f"{topic}-{partition}: the partition has started afresh since this event was read")


@contextmanager
def as_current(event: EventT) -> Iterator[None]:
    """Let the block write tables on behalf of an event that is not yet acknowledged.

    Faust takes a write's partition from the current event. Do not await inside the block.

    Raises:
        StaleEventError: drop the effects of the event; its records are read again, here or elsewhere.
    """
    if not event.app.consumer.is_live(event.message):
        raise StaleEventError(event.message.topic, event.message.partition)
    token = _current_event.set(weakref.ref(event))
    try:
        yield
    finally:
        _current_event.reset(token)


def put(table: Any, event: EventT, changes: Iterable[tuple[bytes, bytes | None]], *, end: int | None) -> None:
    """Write changes to the store of a table whose changelog already holds them.

    Args:
        table: The Faust table.
        event: A pending event of the partition.
        changes: Keys and values, None for a deletion.
        end: The changelog offset up to which the store is complete, if known.

    Raises:
        StaleEventError: as `as_current`.
    """
    store = table.data
    with as_current(event):
        for key, value in changes:
            if value is not None:
                store[key] = value
            elif key in store:
                del store[key]
    if end is not None:
        store.set_persisted_offset(TP(table.changelog_topic_name, event.message.partition), end)


async def purge(table: Any, partition: int, keys: Iterable[bytes]) -> None:
    """Remove deleted keys from the files of a RocksDB store, which keep them until some later compaction otherwise.

    Args:
        table: The Faust table; one in memory has no files.
        partition: The partition of the keys.
        keys: Keys that were deleted.
    """
    store = table.data
    if not hasattr(store, "_db_for_partition"):
        return
    database = store._db_for_partition(partition)
    options = CompactOptions()
    options.set_bottommost_level_compaction(BottommostLevelCompaction.force())  # or else a file may only be moved

    def compact() -> None:
        database.flush()
        for key in keys:
            database.compact_range(key, key, options)

    await asyncio.to_thread(compact)
