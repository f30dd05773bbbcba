"""Trace of one event: its way through the topics to the feed that reflects it, hop by hop with times."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
from aiokafka import ConsumerRecord

from infra.kafka.folded_header import EventPosition, folded_positions, relation
from infra.kafka.readers.event_search import EventCopy, find_copies
from infra.kafka.readers.record_window import WindowReader, partition_of_key
from infra.kafka.registry import Registry
from infra.postgres.pool import LazyPool
from infra.redis.connection import StoreError
from infra.redis.stores.feed_codec import version, version_order
from infra.redis.stores.feed_store import FeedStore
from schemas.types import DeadLetter, Features, Feed
from topics import Topic
from topics.topic import DEAD_LETTERS, FEATURES, FEEDS, INTERACTIONS, PROFILE_UPDATES, PROFILES

TraceState = Literal["served", "ranking", "waiting", "unchanged", "duplicate", "dead_letter"]
_SKEW_MS = 1_000
"""Difference between the clocks of two brokers for which a search begins earlier."""
_DETAILS: dict[TraceState, str] = {
    "served": "",
    "ranking": "It is in the user's features; no feed was ranked from them yet.",
    "waiting": "No features reflect it: the feed role has not folded it yet (see millrace status), or it changes no"
    " features, like a trigger of a retraining.",
    "unchanged": "The user's features reflect later events but do not name this one: it was a repeat, or it changed"
    " nothing, like an outdated statement; or the features that name it were compacted.",
}


class Hop(msgspec.Struct, frozen=True):
    """One step of an event."""

    step: str
    """occurred, appended, merged, folded, ranked, stored, published or archived."""
    at: int | None = None
    """Time in ms since the epoch; None where no record holds it."""
    after_ms: int | None = None
    """Time since the last hop with a time."""
    topic: str = ""
    partition: int | None = None
    offset: int | None = None
    note: str = ""


class EventTrace(msgspec.Struct, frozen=True):
    """The way of an event."""

    event_id: str
    user_id: str
    state: TraceState
    detail: str
    """The reason of any other state than `served`; else empty."""
    hops: list[Hop]
    total_ms: int | None
    """Time from the append of the event to the append of the feed; None if no feed reflects the event."""
    repeats: list[str]
    """Positions of further copies, as TOPIC-PARTITION-OFFSET."""


@dataclass(frozen=True, slots=True)
class TraceClients:
    """The clients that a trace reads from."""

    reader: WindowReader
    registry: Registry
    feeds: FeedStore
    database: LazyPool


async def trace_event(
    clients: TraceClients, event_id: str, *, user_id: str | None = None, since_ms: int
) -> EventTrace | None:
    """Return the trace of an event; None if no topic holds it.

    Args:
        clients: The clients.
        event_id: The id of the event.
        user_id: The user, if known: then only the user's partitions are searched.
        since_ms: Append time in ms since the epoch from which to search.
    """
    copies = await find_copies(clients.reader, clients.registry, event_id, user_id=user_id, since_ms=since_ms)
    if not copies:
        return None
    source, folded_event, features, state = await _folded(clients.reader, copies)
    hops, feed = _arrival(source, folded_event), None
    if features is not None:
        hops.append(_hop("folded", _position(features), features.timestamp, "into the user's features"))
        feed = await _feed(clients, features)
    if feed is not None:
        state = "served"
        hops += await _feed_hops(clients.feeds, *feed)
    archive_hops, original = await _archived(clients.database, source)
    hops += archive_hops
    positions = [source.position, folded_event.position, *([_position(features)] if features is not None else [])]
    state, detail = await _state(clients, state, positions, original=original, since_ms=source.append_ms)
    return EventTrace(
        event_id=event_id,
        user_id=source.user_id,
        state=state,
        detail=detail,
        hops=with_latencies(hops),
        total_ms=feed[0].timestamp - source.append_ms if feed is not None else None,
        repeats=[str(copy.position) for copy in copies if copy not in (source, folded_event)],
    )


def with_latencies(hops: Iterable[Hop]) -> list[Hop]:
    """Return hops with the time since the last hop that has one.

    >>> [hop.after_ms for hop in with_latencies([Hop("appended", 10), Hop("stored"), Hop("published", 35)])]
    [None, None, 25]
    """
    timed_hops: list[Hop] = []
    last_ms: int | None = None
    for hop in hops:
        after_ms = None if hop.at is None or last_ms is None else hop.at - last_ms
        timed_hops.append(msgspec.structs.replace(hop, after_ms=after_ms))
        last_ms = last_ms if hop.at is None else hop.at
    return timed_hops


async def _folded(
    reader: WindowReader, copies: Sequence[EventCopy]
) -> tuple[EventCopy, EventCopy, ConsumerRecord | None, TraceState]:
    """Return the copy that counted, the record of it that the user agent folded, the features with it, and its state.

    It is the first copy that features include; without any, the last one.
    """
    profiles = [copy for copy in copies if copy.position.topic == PROFILES.name]
    for source in copies:
        if source.position.topic != copies[0].position.topic:
            continue
        # A change of a profile is folded as the merged profile, which has the id of its last change.
        is_merged = source.position.topic == PROFILE_UPDATES.name and profiles
        folded_event = profiles[0] if is_merged else source
        features, state = await _features(reader, folded_event)
        if features is not None:
            break
    return source, folded_event, features, state


def _arrival(source: EventCopy, folded_event: EventCopy) -> list[Hop]:
    """Return the hops up to the record that the user agent folds."""
    occurrence = []
    if source.event is not None:
        occurrence.append(Hop("occurred", source.event.occurred_at, note="by its producer's clock"))
    note = f"sent again from dead letter {source.replayed_from}" if source.replayed_from else ""
    merge = (
        []
        if folded_event is source
        else [_hop("merged", folded_event.position, folded_event.append_ms, "into the user's profile")]
    )
    return [*occurrence, _hop("appended", source.position, source.append_ms, note), *merge]


async def _features(reader: WindowReader, event: EventCopy) -> tuple[ConsumerRecord | None, TraceState]:
    """Return the first features that include an event, None if there are none, and the state of the event so far."""
    async for record in _of_user(reader, FEATURES, event.key, since_ms=event.append_ms):
        relates = relation(folded_positions(record.headers), event.position)
        if relates == "includes":
            return record, "ranking"
        if relates == "follows":
            return None, "unchanged"
    return None, "waiting"


async def _feed(clients: TraceClients, features: ConsumerRecord) -> tuple[ConsumerRecord, Feed, int] | None:
    """Return the first feed that reflects some features, decoded and as its record, and their version."""
    registry = clients.registry
    wanted_version = (await registry.decode(registry.codec(Features), features.value)).version
    async for record in _of_user(clients.reader, FEEDS, features.key, since_ms=features.timestamp):
        feed = await registry.decode(registry.codec(Feed), record.value)
        if feed.features_version >= wanted_version:
            return record, feed, wanted_version
    return None


async def _feed_hops(store: FeedStore, record: ConsumerRecord, feed: Feed, features_version: int) -> list[Hop]:
    newer = "" if feed.features_version == features_version else ", from newer features"
    return [
        Hop("ranked", feed.generated_at, note=f"as feed {version(feed)} by {feed.model}{newer}"),
        Hop("stored", note=f"in Redis, before the next hop; {await _stored(store, feed)}"),
        _hop("published", _position(record), record.timestamp, ""),
    ]


async def _stored(store: FeedStore, feed: Feed) -> str:
    """Return the fate of a feed in Redis, in words."""
    try:
        [current] = await store.read([feed.user_id])
    except StoreError:
        return "Redis does not answer now"
    if current is None:
        return "no feed is stored now"
    if version_order(current) == version_order(feed):
        return "it is served now"
    return f"feed {version(current)} is served now"


async def _archived(database: LazyPool, source: EventCopy) -> tuple[list[Hop], str]:
    """Return the hop of an interaction's archive row, and the position of an earlier copy if the row is that one's."""
    if source.position.topic != INTERACTIONS.name:
        return [], ""
    query = 'SELECT topic, partition, "offset" FROM interactions WHERE user_id = $1 AND event_id = $2'
    try:
        async with database.read_connection("reading the archive") as connection:
            row = await connection.fetchrow(query, source.user_id, source.event_id)
    except StoreError:
        return [Hop("archived", note="PostgreSQL does not answer")], ""
    if row is None:
        return [Hop("archived", note="no row in PostgreSQL yet")], ""
    position = EventPosition(*row)
    if position.offset >= source.position.offset or position[:2] != source.position[:2]:
        return [Hop("archived", note="in PostgreSQL")], ""
    return [Hop("archived", note=f"in PostgreSQL, as {position}")], str(position)


async def _state(
    clients: TraceClients, state: TraceState, positions: Sequence[EventPosition], *, original: str, since_ms: int
) -> tuple[TraceState, str]:
    """Return the final state of an event, and the detail; an event that is not served may be a dead letter or a repeat.

    Args:
        clients: The clients.
        state: The state by features and feeds.
        positions: The records of the event that may have become dead letters.
        original: The position of an earlier copy that counted; empty without one.
        since_ms: Append time of the event in ms since the epoch.
    """
    if state == "served":
        return state, _DETAILS[state]
    for position in dict.fromkeys(positions):
        record = await clients.reader.newest(DEAD_LETTERS, str(position).encode(), since_ms=since_ms - _SKEW_MS)
        if record is not None and record.value is not None:
            letter = await clients.registry.decode(clients.registry.codec(DeadLetter), record.value)
            return "dead_letter", f"{letter.stage}, {letter.reason}: {letter.detail} ({letter.letter_id})"
    return ("duplicate", f"It repeats {original}, which counted.") if original else (state, _DETAILS[state])


async def _of_user(reader: WindowReader, topic: Topic, key: bytes, *, since_ms: int) -> AsyncIterator[ConsumerRecord]:
    """Yield a user's records of a topic in order, from an append time on."""
    window = await reader.window([partition_of_key(topic, key)], since_ms=since_ms - _SKEW_MS)
    async for records in reader.forwards(window):
        for record in records:
            if record.key == key and record.value is not None:
                yield record


def _position(record: ConsumerRecord) -> EventPosition:
    return EventPosition(record.topic, record.partition, record.offset)


def _hop(step: str, position: EventPosition, at_ms: int, note: str) -> Hop:
    topic, partition, offset = position
    return Hop(step, at_ms, topic=topic, partition=partition, offset=offset, note=note)
