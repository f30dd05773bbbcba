"""The user agent and the feeds of its users: events are acknowledged once the feeds are written."""

from __future__ import annotations

from infra.kafka.partition import partition_of
from tests.broker import Broker, Codecs, Worker
from tests.build import an_interaction
from topics.topic import FEATURES, INTERACTIONS, ITEM_SIGNALS, PARTITIONS

USERS = [f"u{number}" for number in range(6)]


def a_broker() -> Broker:
    broker, codec = Broker(), Codecs().codec(INTERACTIONS.record)
    for user_id in USERS:
        event = an_interaction(event_id=f"of {user_id}", user_id=user_id, action="like")
        key = user_id.encode()
        broker.append(INTERACTIONS.name, partition_of(key, PARTITIONS), key, codec.encode(event))
    return broker


async def fold(worker: Worker) -> None:
    """Fold everything, in two checkpoints."""
    users = worker.readers[0]
    while await users.read():
        pass
    for _ in range(2):
        await users.agent.checkpoint.force()
        users.commit()


async def test_events_are_committed_once_the_feeds_of_their_users_are_written() -> None:
    broker = a_broker()
    worker = Worker(broker)
    worker.ranker.is_slow = True
    await fold(worker)
    assert set(broker.newest(FEATURES)) == set(worker.ranker.users) == {*USERS}
    assert broker.committed_offsets == {}
    worker.ranker.write()
    await fold(worker)
    assert sum(broker.committed_offsets.values()) == len(USERS)
    await worker.publisher.close()


async def test_after_a_crash_users_are_ranked_whose_events_were_folded_and_whose_feeds_were_not_written() -> None:
    broker = a_broker()
    first = Worker(broker)
    first.ranker.is_slow = True
    await fold(first)
    await first.crash()
    signals = sum(len(log) for (topic, _), log in broker.logs.items() if topic == ITEM_SIGNALS.name)
    second = Worker(broker)
    await fold(second)
    assert {*second.ranker.users} == {*USERS}
    assert sum(broker.committed_offsets.values()) == len(USERS)
    assert signals == sum(len(log) for (topic, _), log in broker.logs.items() if topic == ITEM_SIGNALS.name)
    await second.publisher.close()


async def test_an_event_that_a_client_sent_twice_ranks_nobody_again() -> None:
    broker = a_broker()
    worker = Worker(broker)
    await fold(worker)
    users = list(worker.ranker.users)
    codec, key = Codecs().codec(INTERACTIONS.record), USERS[0].encode()
    again = codec.encode(an_interaction(event_id=f"of {USERS[0]}", user_id=USERS[0], action="like"))
    broker.append(INTERACTIONS.name, partition_of(key, PARTITIONS), key, again)
    await fold(worker)
    assert worker.ranker.users == users
    assert sum(broker.committed_offsets.values()) == len(USERS) + 1
    await worker.publisher.close()
