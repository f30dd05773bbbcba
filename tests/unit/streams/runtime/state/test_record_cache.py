"""States in memory: bounded in bytes, and none that cannot be written or read stops the others."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from infra.kafka.publisher import Publisher
from streams.runtime.state.record_cache import RecordCache
from tests.broker import App, Broker, Codecs, Event, Message, Table
from topics.topic import DEAD_LETTERS


class State(msgspec.Struct, array_like=True):
    key: str
    text: str = ""
    count: Any = 0


class World:
    def __init__(self, **options: Any) -> None:
        self.broker = Broker()
        self.publisher = Publisher("", cast(Any, Codecs()), new_producer=cast(Any, self.broker.producer))
        self.table = Table(self.broker, "users")
        self.states = RecordCache(self.table, State, self.publisher, new=State, **options)
        self.app = cast(Any, App())
        in_flight_batch = self.app.ledger.deliver(("t", 0), 1, records=1, size_bytes=1)
        self.event = Event(self.app, Message(in_flight_batch, ("t", 0)), cast(Any, None))

    def set(self, key: str, **fields: Any) -> None:
        state = self.states.get(0, key)
        for name, value in fields.items():
            setattr(state, name, value)
        self.states.touch(0, key)

    async def write(self) -> None:
        await self.states.write(self.states.changes([0]), {0: self.event})

    def cached_keys(self) -> list[str]:
        return list(self.states._states.get(0, {}))


async def test_states_past_the_budget_give_way_and_are_read_again() -> None:
    world = World(most_bytes=10_000)
    for number in range(40):
        world.set(f"k{number}", text="x" * 1_000)
    await world.write()
    assert 0 < len(world.cached_keys()) < 10
    assert world.cached_keys()[-1] == "k39", "the oldest go first"
    assert [world.states.get(0, f"k{n}").text for n in (0, 39)] == ["x" * 1_000] * 2
    world.set("k5", text="y")
    await world.write()
    assert world.states.get(0, "k5").text == "y"
    await world.publisher.close()


async def test_the_budget_counts_bytes_and_not_states() -> None:
    world = World(most_bytes=100_000)
    for number in range(150):
        world.set(f"k{number}")
    await world.write()
    assert len(world.cached_keys()) == 150
    world.set("k149", text="x" * 90_000)
    await world.write()
    assert 1 <= len(world.cached_keys()) < 30
    await world.publisher.close()


async def test_what_has_changed_since_stays() -> None:
    world = World(most_bytes=1)
    for key in ("a", "b"):
        world.set(key, text=key)
    changes = world.states.changes([0])
    world.set("a", text="newer")
    await world.states.write(changes, {0: world.event})
    assert world.cached_keys() == ["a"]
    assert world.states.get(0, "a").text == "newer"
    await world.publisher.close()


async def test_a_state_that_cannot_be_encoded_becomes_a_dead_letter_alone() -> None:
    world = World()
    for key, count in (("a", 1), ("b", object()), ("c", 1 << 70), ("d", 4)):
        world.set(key, count=count)
    await world.write()
    assert sorted(world.table) == [b"a", b"d"]
    await world.publisher.flush()
    assert {letter.key for letter in world.broker.newest(DEAD_LETTERS).values()} == {b"b", b"c"}
    await world.publisher.close()


async def test_a_stored_state_that_cannot_be_read_is_passed_over() -> None:
    world = World()
    world.set("a", text="whole")
    await world.write()
    world.table[b"b"] = b"\x01\xc1 no state"
    assert [state.key for state in world.states.stored("key")] == ["a"]
    await world.publisher.close()


async def test_a_field_that_a_state_does_not_have_is_refused() -> None:
    world = World()
    world.set("a", text="b")
    await world.write()
    assert [state.text for state in world.states.stored("text")] == ["b"]
    with pytest.raises(ValueError, match="State has no txet"):
        list(world.states.stored("txet"))


async def test_a_deleted_state_is_gone_from_the_changelog_and_the_table_and_a_new_one_may_follow() -> None:
    world = World()
    world.set("k1", text="old")
    await world.write()
    world.states.delete(0, "k1")
    assert world.states.get(0, "k1").text == ""
    await world.write()
    assert b"k1" not in world.table
    [*_, record] = world.broker.logs["users-changelog", 0]
    assert (record.key, record.value) == (b"k1", None)
    world.set("k1", text="new")
    world.states.delete(0, "k1")
    world.set("k1", text="newer")
    await world.write()
    world.states.drop()
    assert world.states.get(0, "k1").text == "newer"
    await world.publisher.close()
