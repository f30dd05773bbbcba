"""Search for an event by its id in the topics that events arrive on, from their ends backwards."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from infra.kafka.folded_header import EventPosition
from infra.kafka.partition import partition_of
from infra.kafka.readers.dead_letter_replay import REPLAYED_HEADER
from infra.kafka.readers.record_window import WindowReader
from infra.kafka.registry import Registry
from schemas.codec import DecodeError
from topics.topic import INTERACTIONS, LOCATIONS, PARTITIONS, PROFILE_UPDATES, PROFILES, TRIGGERS

EVENT_TOPICS = {topic.name: topic for topic in (INTERACTIONS, LOCATIONS, TRIGGERS, PROFILE_UPDATES, PROFILES)}
"""The topics of events by name; all are keyed by user."""


@dataclass(frozen=True, slots=True)
class EventCopy:
    """One record of an event. Producers that try again, and replays of dead letters, make several."""

    position: EventPosition
    key: bytes
    append_ms: int
    event_id: str
    event: Any
    """The decoded event; None where it cannot be decoded."""
    replayed_from: str = ""
    """The id of the dead letter from which this copy was sent again."""

    @property
    def user_id(self) -> str:
        """Return the user, who is the key."""
        return self.key.decode(errors="replace")


async def find_copies(
    reader: WindowReader, registry: Registry, event_id: str, *, user_id: str | None, since_ms: int
) -> list[EventCopy]:
    """Return the records of one user's event, oldest first; if several users have an event of that id, the newest one.

    Args:
        reader: Reads the topics.
        registry: Decodes the records.
        event_id: The id of the event.
        user_id: The user, whose partitions alone are then read; by default all partitions are.
        since_ms: Append time in ms since the epoch from which to search.
    """
    numbers = range(PARTITIONS) if user_id is None else [partition_of(user_id.encode(), PARTITIONS)]
    window = await reader.window(
        [TopicPartition(name, number) for name in EVENT_TOPICS for number in numbers], since_ms=since_ms
    )
    copies: list[EventCopy] = []
    key = None if user_id is None else user_id.encode()
    async for records in reader.backwards(window):
        for record in reversed(records):
            if key in (None, record.key) and event_id.encode() in (record.value or b""):
                copy = await _copy(registry, record, event_id)
                if copy is not None:
                    copies.append(copy)
                    key = copy.key
        if copies:  # the other partitions hold no more of it
            own = {partition_of(copies[0].key, PARTITIONS), *(copy.position.partition for copy in copies)}
            window.update({tp: range(0) for tp in window if tp.partition not in own})
    return sorted(copies, key=lambda copy: (copy.append_ms, copy.position.offset))


async def _copy(registry: Registry, record: ConsumerRecord, event_id: str) -> EventCopy | None:
    """Return a record as a copy of the event; None if it only mentions the id."""
    event: Any = None
    with suppress(DecodeError):  # such a record became a dead letter, and may be the event all the same
        event = await registry.decode(registry.codec(EVENT_TOPICS[record.topic].record), record.value)
    if event is not None and event.event_id != event_id:
        return None
    replayed_from = dict(record.headers).get(REPLAYED_HEADER) or b""
    position = EventPosition(record.topic, record.partition, record.offset)
    return EventCopy(position, record.key or b"", record.timestamp, event_id, event, replayed_from.decode())
