"""Erasure in the user agent: the state goes, with all that waits to be published; a new state stays."""

from __future__ import annotations

import msgspec

from infra.erasure.erasure_index import ErasureIndex, ErasureKey
from infra.kafka.partition import partition_of
from schemas.types import Erasure, ErasureRequest, Interaction, Trigger
from streams.core.user.user_state import UserState
from tests.broker import Broker, Codecs, Worker
from tests.build import a_content, a_trigger, an_interaction
from topics.topic import (
    CONTENT,
    DEAD_LETTERS,
    ERASURE_REQUESTS,
    FEATURES,
    FEEDS,
    INTERACTIONS,
    LLM_SCORES,
    PARTITIONS,
    TRIGGERS,
    USER_WEIGHTS,
)

KEY, USER = ErasureKey(b"a secret"), "alex"
PARTITION = partition_of(USER.encode(), PARTITIONS)
CHANGELOG = "users-changelog"


class World:
    """A broker with events of a user and of another in one partition, and a worker."""

    def __init__(self) -> None:
        self.broker, self.codec = Broker(), Codecs().codec(Interaction)
        self.other = next(
            name for name in map("other-{}".format, range(99)) if partition_of(name.encode(), PARTITIONS) == PARTITION
        )
        self.worker = Worker(self.broker, erasures=ErasureIndex(KEY))
        self.requests = 0

    def publish(self, user_id: str, event_id: str) -> None:
        event = an_interaction(event_id=event_id, user_id=user_id, item_id="i1")
        self.broker.append(INTERACTIONS.name, PARTITION, user_id.encode(), self.codec.encode(event))

    def request(self, user_id: str, *, erased_at: int) -> None:
        """Publish a request, whose erasure was appended at a time."""
        self.requests += 1
        request = ErasureRequest(event_id=f"r{self.requests}", user_id=user_id, occurred_at=erased_at)
        data = Codecs().codec(ErasureRequest).encode(request)
        self.broker.append(ERASURE_REQUESTS.name, PARTITION, user_id.encode(), data)
        erasure = Erasure(
            user_hash=KEY.hash_of(user_id.encode()), key_id=KEY.key_id, request_id=request.event_id, occurred_at=0
        )
        self.worker.erasures.apply(erasure, erased_at)

    async def run(self) -> None:
        """Read everything, and make it durable."""
        reader = self.worker.readers[0]
        while await reader.read():
            pass
        await reader.agent.checkpoint.force()
        reader.commit()

    def newest(self, topic: str) -> dict[bytes, bytes | None]:
        """Return the newest value of each key."""
        logs = [log for (name, _), log in self.broker.logs.items() if name == topic]
        return {record.key or b"": record.value for log in logs for record in log}

    def state(self, user_id: str) -> UserState:
        data = self.newest(CHANGELOG)[user_id.encode()]
        assert data is not None
        return msgspec.msgpack.decode(data[1:], type=UserState)


def appended_at(world: World) -> int:
    """Return the newest append time."""
    return max(record.timestamp for log in world.broker.logs.values() for record in log)


async def erased_world() -> tuple[World, int]:
    """Return a world whose user is erased after an event, and the time of the erasure."""
    world = World()
    world.publish(USER, "e1")
    await world.run()
    erased_at = appended_at(world)
    world.request(USER, erased_at=erased_at)
    await world.run()
    return world, erased_at


async def test_the_state_goes_and_so_do_the_published_records() -> None:
    world = World()
    world.publish(USER, "e1")
    world.publish(world.other, "e2")
    await world.run()
    world.request(USER, erased_at=appended_at(world))
    await world.run()
    assert world.newest(CHANGELOG)[USER.encode()] is None
    assert world.state(world.other).event_count == 1
    for topic in (FEATURES, FEEDS, LLM_SCORES, USER_WEIGHTS):
        assert world.newest(topic.name)[USER.encode()] is None
    assert world.worker.eraser.counts == {USER: {"state: users": 1}}
    assert world.newest(DEAD_LETTERS.name) == {}


async def test_events_before_the_erasure_are_skipped_and_later_ones_start_from_nothing() -> None:
    world = World()
    world.publish(USER, "e1")
    world.request(USER, erased_at=appended_at(world))
    await world.run()
    assert USER.encode() not in world.newest(CHANGELOG)
    world.publish(USER, "e1")
    await world.run()
    assert world.state(USER).event_count == 1


async def test_what_follows_from_older_events_brings_nobody_back() -> None:
    world, erased_at = await erased_world()
    for topic, value in (
        (CONTENT, a_content(user_id=USER, requested_at=erased_at)),
        (TRIGGERS, a_trigger(user_id=USER, occurred_at=erased_at)),
    ):
        world.broker.append(topic.name, PARTITION, USER.encode(), Codecs().codec(topic.record).encode(value))
    await world.run()
    assert world.newest(CHANGELOG)[USER.encode()] is None
    later = a_trigger(user_id=USER, occurred_at=erased_at + 1)
    world.broker.append(TRIGGERS.name, PARTITION, USER.encode(), Codecs().codec(Trigger).encode(later))
    await world.run()
    assert world.state(USER).event_count == 0


async def test_a_request_that_is_read_again_leaves_a_new_state_alone() -> None:
    world, erased_at = await erased_world()
    world.publish(USER, "e2")
    await world.run()
    world.request(USER, erased_at=erased_at)
    await world.run()
    assert world.state(USER).event_count == 1
    assert world.state(USER).since > erased_at
