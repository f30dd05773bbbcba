"""Traces of events over a broker in memory, with features made by the user agent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from infra.event_trace import EventTrace, TraceClients, trace_event
from infra.kafka.folded_header import MOST_POSITIONS, EventPosition, folded_header, folded_positions, relation
from infra.kafka.partition import partition_of
from infra.kafka.readers.dead_letter_replay import REPLAYED_HEADER
from infra.kafka.readers.record_window import WindowReader
from infra.redis.connection import StoreError
from infra.redis.stores.feed_store import MemoryFeedStore
from schemas.types import DeadLetter, Feed, Interaction
from tests.broker import Broker, Codecs, Worker
from tests.build import T0_MS, a_feed, an_interaction
from tests.log_consumer import LogConsumer
from topics import Topic
from topics.topic import DEAD_LETTERS, FEATURES, FEEDS, INTERACTIONS, PARTITIONS

KEY = b"u1"
HOME = partition_of(KEY, PARTITIONS)


class Registry(Codecs):
    """A registry in which every schema is known."""

    async def decode(self, codec: Any, value: bytes | None) -> Any:
        return codec.decode(value)


class Database:
    """A database that holds the row of one event, if any, or is away."""

    def __init__(self, position: EventPosition | None = None, *, is_away: bool = False) -> None:
        self._position, self._is_away = position, is_away

    @asynccontextmanager
    async def read_connection(self, doing: str) -> AsyncIterator[Database]:
        if self._is_away:
            raise StoreError(doing, OSError("no answer"))
        yield self

    async def fetchrow(self, _query: str, _user_id: str, _event_id: str) -> EventPosition | None:
        return self._position


class Stack:
    """The broker, the user agent and the stores."""

    def __init__(self) -> None:
        self.broker, self.feeds, self.registry = Broker(), MemoryFeedStore(), Registry()

    def put(self, event: Interaction, *, partition: int = HOME, **headers: bytes) -> EventPosition:
        """Append an interaction."""
        value, names = self.registry.codec(Interaction).encode(event), {"from": REPLAYED_HEADER}
        headers_by_name = {names[name]: header for name, header in headers.items()}
        offset = self.broker.append(INTERACTIONS.name, partition, event.user_id.encode(), value, headers_by_name)
        return EventPosition(INTERACTIONS.name, partition, offset)

    def write(self, topic: Topic, key: bytes, record: Any) -> None:
        """Append a record of a later stage."""
        value = self.registry.codec(topic.record).encode(record)
        self.broker.append(topic.name, partition_of(key, topic.partitions), key, value)

    async def fold(self) -> list[int]:
        """Run the user agent over the events, and return the versions of the user's features."""
        worker = Worker(self.broker)
        for reader in worker.readers:
            while await reader.read():
                pass
            await reader.agent.checkpoint.force()
            reader.commit()
        await worker.publisher.close()
        codec = self.registry.codec(FEATURES.record)
        return [codec.decode(one.value).version for one in self.broker.logs[FEATURES.name, HOME] if one.key == KEY]

    async def rank(self, version: int, **overrides: Any) -> Feed:
        """Store and publish a feed."""
        feed = a_feed(features_version=version, **overrides)
        await self.feeds.write([feed])
        self.write(FEEDS, KEY, feed)
        return feed

    async def trace(self, event_id: str, database: Database | None = None, **arguments: Any) -> EventTrace | None:
        clients = TraceClients(
            WindowReader(LogConsumer(self.broker)),
            cast(Any, self.registry),
            self.feeds,
            cast(Any, database or Database()),
        )
        return await trace_event(clients, event_id, **({"since_ms": T0_MS} | arguments))


async def traced(stack: Stack, event_id: str, database: Database | None = None, **arguments: Any) -> EventTrace:
    trace = await stack.trace(event_id, database, **arguments)
    assert trace is not None
    return trace


def click(event_id: str, **overrides: Any) -> Interaction:
    return an_interaction(event_id=event_id, **overrides)


async def test_an_event_is_served_by_the_feed_of_the_features_that_name_it() -> None:
    stack = Stack()
    stack.put(click("before"))
    position = stack.put(click("e"))
    stack.put(click("other", user_id="u2"), partition=partition_of(b"u2", PARTITIONS))
    stack.put(click("after"))
    versions = await stack.fold()
    await stack.rank(versions[0] - 1)
    feed = await stack.rank(versions[-1])
    trace = await traced(stack, "e", Database(position))
    assert (trace.state, trace.detail, trace.user_id, trace.repeats) == ("served", "", "u1", [])
    assert [hop.step for hop in trace.hops] == [
        *("occurred", "appended", "folded", "ranked", "stored", "published", "archived")
    ]
    hops = {hop.step: hop for hop in trace.hops}
    assert (hops["appended"].topic, hops["appended"].partition, hops["appended"].offset) == position
    assert hops["ranked"].at == feed.generated_at
    assert hops["published"].offset == 1
    assert "it is served now" in hops["stored"].note
    assert hops["archived"].note == "in PostgreSQL"
    assert trace.total_ms == (hops["published"].at or 0) - (hops["appended"].at or 0)
    assert await traced(stack, "e", Database(position), user_id="u1") == trace


async def test_a_feed_of_newer_features_reflects_the_event_and_a_newer_one_may_be_served() -> None:
    stack = Stack()
    stack.put(click("e"))
    [version] = await stack.fold()
    await stack.rank(version + 5)
    newer = await stack.rank(version + 9)
    hops = {hop.step: hop for hop in (await traced(stack, "e")).hops}
    assert "from newer features" in hops["ranked"].note
    assert f"feed {newer.features_version}-{newer.generated_at} is served now" in hops["stored"].note


async def test_an_event_that_is_not_folded_or_not_ranked_yet_waits() -> None:
    stack = Stack()
    stack.put(click("e"))
    trace = await traced(stack, "e")
    assert (trace.state, trace.total_ms) == ("waiting", None)
    assert "see millrace status" in trace.detail
    await stack.fold()
    assert (await traced(stack, "e")).state == "ranking"


async def test_a_copy_of_an_event_that_counted_is_a_repeat() -> None:
    stack = Stack()
    first = stack.put(click("e"))
    second = stack.put(click("e"))
    [*_, version] = await stack.fold()
    await stack.rank(version)
    trace = await traced(stack, "e")
    assert (trace.state, trace.repeats) == ("served", [str(second)])
    hop = trace.hops[1]
    assert (hop.topic, hop.partition, hop.offset) == first


async def test_a_repeat_whose_original_is_older_than_the_search_is_a_duplicate() -> None:
    stack = Stack()
    first = stack.put(click("e"))
    second = stack.put(click("e"))
    stack.put(click("later"))
    await stack.fold()
    since_ms = stack.broker.logs[INTERACTIONS.name, HOME][second.offset].timestamp
    trace = await traced(stack, "e", Database(first), since_ms=since_ms)
    assert (trace.state, trace.detail) == ("duplicate", f"It repeats {first}, which counted.")
    assert (await traced(stack, "e", since_ms=since_ms)).state == "unchanged"


async def test_a_dead_letter_shows_its_reason_and_a_copy_sent_again_counts() -> None:
    stack = Stack()
    bad = stack.put(click("e", action="rate", value=9_000.0))
    await stack.fold()
    trace = await traced(stack, "e")
    letters = [one.value for (name, _), log in stack.broker.logs.items() if name == DEAD_LETTERS.name for one in log]
    [letter] = [stack.registry.codec(DeadLetter).decode(value) for value in letters]
    assert trace.state == "dead_letter"
    assert trace.detail.startswith(f"{letter.stage}, {letter.reason}: ")
    assert str(bad) in trace.detail

    again = stack.put(click("e"), **{"from": str(bad).encode()})
    await stack.fold()
    trace = await traced(stack, "e")
    assert trace.state == "ranking"
    assert trace.hops[1].offset == again.offset
    assert str(bad) in trace.hops[1].note
    assert trace.repeats == [str(bad)]


async def test_a_copy_in_the_wrong_partition_is_forwarded_and_the_forwarded_one_counts() -> None:
    stack = Stack()
    wrong = stack.put(click("e"), partition=(HOME + 1) % PARTITIONS)
    await stack.fold()
    [version] = await stack.fold()
    await stack.rank(version)
    trace = await traced(stack, "e")
    assert (trace.state, trace.repeats) == ("served", [str(wrong)])
    assert trace.hops[1].partition == HOME


async def test_an_event_that_only_mentions_the_id_is_another_event() -> None:
    stack = Stack()
    stack.put(click("another", query="e-1"))
    assert await stack.trace("e-1") is None
    assert await stack.trace("another", since_ms=T0_MS + 60_000) is None
    assert await stack.trace("another", user_id="u2") is None


async def test_a_store_that_is_away_does_not_hide_the_rest() -> None:
    stack = Stack()
    stack.put(click("e"))
    trace = await traced(stack, "e", Database(is_away=True))
    assert trace.hops[-1].note == "PostgreSQL does not answer"


def test_a_header_names_events_in_the_form_of_dead_letter_ids() -> None:
    positions = [EventPosition("profile-updates.v1", 3, 17), EventPosition("interactions.v1", 3, 4)]
    headers = folded_header(positions)
    assert headers == {"millrace-folded": b"profile-updates.v1-3-17 interactions.v1-3-4"}
    assert folded_positions(tuple(headers.items())) == positions


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ([6], "other"),
        ([6, 8], "follows"),
        ([8], "follows"),
        ([6, 7], "includes"),
        (range(8, 8 + MOST_POSITIONS), "includes"),
        (range(6, 6 + MOST_POSITIONS + 1, 1), "includes"),
        ([6, *range(8, 7 + MOST_POSITIONS)], "follows"),
    ],
)
def test_features_include_an_event_follow_it_or_say_nothing(offsets: Any, expected: str) -> None:
    positions = [EventPosition("a.v1", 0, offset) for offset in offsets]
    assert relation(positions, EventPosition("a.v1", 0, 7)) == expected
    assert relation(positions, EventPosition("b.v1", 0, 7)) == "other"
    assert relation(positions, EventPosition("a.v1", 1, 7)) == "other"


async def test_the_user_agent_names_each_event_that_changed_a_user_once() -> None:
    stack = Stack()
    for n in range(9):
        stack.put(click(f"e{n % 6}"))
    await stack.fold()
    records = [record for record in stack.broker.logs[FEATURES.name, HOME] if record.key == KEY]
    assert [one.offset for record in records for one in folded_positions(record.headers)] == list(range(6))
