"""Whatever fails at whichever await of a checkpoint: what was acknowledged has its effects, once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from infra.kafka.partition import partition_of
from infra.kafka.publisher import PublishError
from tests.broker import Broker, Codecs, Reader, Stepped, Worker
from tests.build import an_interaction
from topics.topic import DEAD_LETTERS, FEATURES, INTERACTIONS, ITEM_STATS, PARTITIONS

USERS, ITEMS, LIKES = 4, 3, 24
ROUNDS_PER_CHECKPOINT = 2
STEPS = 3
"""A checkpoint begins, goes on when its outputs are acknowledged, and goes on when its changelog is."""
CHECKPOINTS = 8


@dataclass
class Fault:
    """What befalls a checkpoint when it goes on after one of its awaits."""

    checkpoint: int
    step: int
    make: Callable[[Worker], BaseException | None]
    is_reached: bool = False


def refused(_: Worker) -> BaseException:
    return PublishError("any", "the broker is away")


def broken(_: Worker) -> BaseException:
    return RuntimeError("a mistake")


def cancelled(_: Worker) -> BaseException:
    return asyncio.CancelledError()


def rebalanced(worker: Worker) -> None:
    for reader in worker.readers:
        reader.start()


def a_broker() -> Broker:
    broker, codec = Broker(), Codecs().codec(INTERACTIONS.record)
    for number in range(LIKES):
        event = an_interaction(
            event_id=f"e{number}", user_id=f"u{number % USERS}", item_id=f"i{number % ITEMS}", action="like"
        )
        key = event.user_id.encode()
        broker.append(INTERACTIONS.name, partition_of(key, PARTITIONS), key, codec.encode(event))
    return broker


async def checkpoint(worker: Worker, reader: Reader, number: int, fault: Fault | None) -> None:
    flush = reader.agent.checkpoint.force()
    if fault is None or fault.is_reached or number < fault.checkpoint:
        await flush
    else:
        stepper = Stepped(flush, fault.step, lambda: fault.make(worker))
        try:
            await stepper
        finally:
            fault.is_reached = stepper.is_reached
    reader.commit()


async def checkpoint_and_fold(worker: Worker) -> None:
    works = [work for reader in worker.readers for work in (reader.agent.checkpoint.force(), reader.read())]
    for result in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


async def play(broker: Broker, fault: Fault | None = None, *, at_once: bool = False) -> None:
    """Read everything to the end, through crashes; with `at_once`, agents fold while checkpoints wait."""
    worker, number, idle = Worker(broker), 0, 0
    try:
        while idle < ROUNDS_PER_CHECKPOINT:
            try:
                read = [[await reader.read() for reader in worker.readers] for _ in range(ROUNDS_PER_CHECKPOINT)]
                if at_once:
                    await checkpoint_and_fold(worker)
                for reader in worker.readers:
                    await checkpoint(worker, reader, number, fault)
                    number += 1
            except asyncio.CancelledError:
                rebalanced(worker)
                idle = 0
            except (PublishError, RuntimeError):
                await worker.crash()
                worker, idle = Worker(broker), 0
            else:
                idle = 0 if any(map(any, read)) else idle + 1
    finally:
        await worker.publisher.close()


def assert_everything_counts_once(broker: Broker) -> None:
    counts = {item_id: stats.counts for item_id, stats in broker.newest(ITEM_STATS).items()}
    assert counts == {f"i{n}": {"like": LIKES // ITEMS} for n in range(ITEMS)}
    event_counts = {user_id: item.event_count for user_id, item in broker.newest(FEATURES).items()}
    assert event_counts == {f"u{n}": LIKES // USERS for n in range(USERS)}
    assert broker.newest(DEAD_LETTERS) == {}
    offsets = Counter[str]()
    for (_, (topic, _)), offset in broker.committed_offsets.items():
        offsets[topic] += offset
    assert offsets[INTERACTIONS.name] == LIKES, "everything is acknowledged in the end"


@pytest.mark.parametrize("step", range(STEPS))
@pytest.mark.parametrize("make", [refused, broken, cancelled, rebalanced])
async def test_a_fault_at_any_await_of_a_checkpoint_loses_and_doubles_nothing(make: Any, step: int) -> None:
    for number in range(CHECKPOINTS):
        broker = a_broker()
        await play(broker, Fault(number, step, make))
        assert_everything_counts_once(broker)


async def test_the_faults_reach_every_await() -> None:
    faults = [Fault(0, step, refused) for step in range(STEPS + 2)]
    for fault in faults:
        await play(a_broker(), fault)
    assert [fault.is_reached for fault in faults] == [True] * STEPS + [False] * 2


@pytest.mark.parametrize(("at_once", "refuses"), [(False, False), (True, True)])
async def test_any_messages_that_the_broker_does_not_take_are_made_again(at_once: bool, refuses: bool) -> None:
    whole = a_broker()
    await play(whole, at_once=at_once)
    assert_everything_counts_once(whole)
    for length in (1, 7):
        for start in range(0, whole.write_count, length):
            broker = a_broker()
            broker.lost_writes, broker.refuses = set(range(start, start + length)), refuses
            await play(broker, at_once=at_once)
            assert_everything_counts_once(broker)


async def test_outputs_lost_by_one_agent_are_never_forgotten_by_the_checkpoints_of_another() -> None:
    broker = a_broker()
    worker = Worker(broker)
    users, items = worker.readers
    await users.read()
    await users.agent.checkpoint.force()
    await users.read()
    await items.read()
    broker.lost_writes, broker.refuses = set(range(broker.write_count, broker.write_count + 100)), True
    for reader in (items, users, items, users):
        with pytest.raises(PublishError):
            await reader.agent.checkpoint.force()
        before = dict(broker.committed_offsets)
        reader.commit()
        assert broker.committed_offsets.items() - before.items() <= {(("users", place), 2) for place in users.places}
    await worker.publisher.close()


async def test_a_batch_that_fails_half_way_is_not_kept_by_the_last_checkpoint() -> None:
    broker = a_broker()
    worker = Worker(broker)
    users, _ = worker.readers
    await users.read()
    users.agent.checkpoint.fail(RuntimeError("half of a batch is folded"))
    await worker.crash()
    assert broker.committed_offsets == {}
    assert not [place for place in broker.logs if place[0] == "users-changelog"]
