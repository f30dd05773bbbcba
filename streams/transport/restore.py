"""Table restore: changelogs applied fetch by fetch.

Faust routes every changelog record separately, at some 100 µs each. During a restore all records of a partition except
the last go straight into its store. The last one goes through Faust, and marks the table as restored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import ConsumerRecord
from faust.types import TP, Message

from streams.transport.client import FetchedBatches

ToMessage = Callable[[TP, ConsumerRecord], Message]


async def restore_table(
    recovery: Any, tp: TP, fetch: FetchedBatches, *, to_message: ToMessage
) -> Sequence[ConsumerRecord]:
    """Apply a fetch of a changelog partition to its table, and return the records left for Faust.

    Args:
        recovery: Faust's recovery service.
        tp: The changelog partition.
        fetch: The fetch.
        to_message: Makes a Faust message from a record.
    """
    if not recovery.in_recovery or tp not in recovery.active_tps:
        return fetch.records
    records = fetch.records
    ends = fetch.end > recovery.active_highwaters[tp]
    if ends:
        records = records[:-1]
    applied_offset = recovery.active_offsets[tp]
    table = recovery.tp_to_table[tp]
    events = []
    for record in records:
        if applied_offset is None or record.offset > applied_offset:
            event = await table.changelog_topic.decode(to_message(tp, record), propagate=True)
            await table.on_changelog_event(event)
            events.append(event)
    if events:
        table.apply_changelog_batch(events)
        recovery.active_offsets[tp] = events[-1].message.offset
    if not ends:
        return ()
    # Compaction and control records may leave no record at the end of a log: Faust would wait for it for ever.
    last = fetch.records[-1].offset if fetch.records else recovery.active_offsets[tp]
    recovery.active_highwaters[tp] = min(recovery.active_highwaters[tp], last)
    return fetch.records[-1:]
