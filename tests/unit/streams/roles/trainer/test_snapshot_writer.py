from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from domain.state import State
from infra.settings import Settings
from streams.core.learning.snapshot import Arrays
from streams.roles.trainer.snapshot_store import Offsets, SnapshotStore
from streams.roles.trainer.snapshot_writer import SnapshotWriter
from tests.unit.streams.builder import PARAMS
from tests.waiting import until

INTERACTIONS_0, ITEMS_0 = TopicPartition("interactions.v1", 0), TopicPartition("items.v1", 0)


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path, params=PARAMS, source="topics")


def a_writer(store: SnapshotStore, *, interval_s: float, events: int = 1_000_000) -> SnapshotWriter:
    settings = replace(Settings(), trainer_snapshot_interval_s=interval_s, trainer_snapshot_events=events)
    return SnapshotWriter(store, settings)


def at(interactions: int, items: int = 0) -> Offsets:
    return {INTERACTIONS_0: interactions, ITEMS_0: items}


def state_of(number: int) -> Callable[[], Callable[[], State]]:
    return lambda: lambda: {"number": number}


def numbers(store: SnapshotStore) -> list[int]:
    return [snapshot.state["number"] for snapshot in store.newest()]


async def test_a_snapshot_is_due_after_the_interval_if_anything_came_since(store: SnapshotStore) -> None:
    writer = a_writer(store, interval_s=1e-6)
    await writer.take_if_due(state_of(1), at(5))
    await writer.close()
    await writer.take_if_due(state_of(2), at(5))
    await writer.close()
    assert numbers(store) == [1]
    assert (writer.describe()["interactions"], writer.describe()["bytes"] > 0) == (5, True)

    async def taken() -> bool:
        await writer.take_if_due(state_of(3), at(5, items=1))
        await writer.close()
        return numbers(store) == [3, 1]

    await until(
        taken, timeout_s=30.0, look_every_s=0.01, what="a snapshot of the new item, once the last one is paid for"
    )


async def test_a_snapshot_is_due_earlier_after_many_interactions(store: SnapshotStore) -> None:
    writer = a_writer(store, interval_s=3_600.0, events=100)
    writer.start_from(at(50))
    await writer.take_if_due(state_of(1), at(149, items=1_000))
    await writer.close()
    assert not numbers(store)
    await writer.take_if_due(state_of(2), at(150))
    await writer.close()
    assert numbers(store) == [2]


async def test_snapshots_take_a_small_share_of_the_time(store: SnapshotStore) -> None:
    writer = a_writer(store, interval_s=1e-6)
    taken_numbers: list[int] = []

    def begin() -> Callable[[], State]:
        taken_numbers.append(number)
        return lambda: {"number": 0}

    for number in range(50):
        await writer.take_if_due(begin, at(number + 1))
        await writer.close()
    assert 0 < len(taken_numbers) < 50, "50 in a row would take all of the time"


async def test_without_an_interval_there_are_no_snapshots(store: SnapshotStore) -> None:
    writer = a_writer(store, interval_s=0.0, events=1)
    await writer.take_if_due(state_of(1), at(5))
    await writer.close()
    assert not numbers(store)


async def test_the_state_is_copied_by_a_thread_of_its_own(store: SnapshotStore) -> None:
    threads: list[int] = []

    def begin() -> Callable[[], State]:
        threads.append(threading.get_ident())

        def state() -> State:
            threads.append(threading.get_ident())
            return {"number": 1}

        return state

    writer = a_writer(store, interval_s=1e-6)
    await writer.take_if_due(begin, at(1))
    await writer.close()
    begun_in, copied_in = threads
    assert begun_in == threading.get_ident() != copied_in


async def test_a_disk_that_cannot_be_written_stops_nothing(
    store: SnapshotStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    writer = a_writer(store, interval_s=1e-6)
    await writer.take_if_due(state_of(1), at(1))
    await writer.close()
    assert "the snapshot cannot be written" in caplog.text
    assert "bytes" not in writer.describe()


async def test_all_snapshots_are_replaced_by_one_of_now(store: SnapshotStore) -> None:
    writer = a_writer(store, interval_s=1e-6)
    for number in (1, 2):
        await writer.replace(state_of(number), at(number))
    assert numbers(store) == [2]
    assert writer.describe()["bytes"] > 0


async def test_where_no_snapshots_are_taken_replacing_them_deletes_them(store: SnapshotStore) -> None:
    await a_writer(store, interval_s=1e-6).replace(state_of(1), at(1))
    await a_writer(store, interval_s=0.0).replace(state_of(2), at(2))
    assert numbers(store) == []


async def test_snapshots_that_cannot_be_replaced_are_deleted(store: SnapshotStore, tmp_path: Path) -> None:
    class FullStore(SnapshotStore):
        """A store on a full disk."""

        def put(self, arrays: Arrays) -> int:
            raise OSError("no space left on device")

    await a_writer(store, interval_s=1e-6).replace(state_of(1), at(1))
    full = FullStore(tmp_path, params=PARAMS, source="topics")
    await a_writer(full, interval_s=1e-6).replace(state_of(2), at(2))
    assert numbers(store) == []
