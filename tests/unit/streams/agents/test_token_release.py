"""Tokens of erased users: the push agent releases them, and the token agent forgets those that nobody else has."""

from __future__ import annotations

from typing import Any, cast

from infra.erasure.erasure_index import ErasureIndex, ErasureKey
from infra.kafka.partition import partition_of
from infra.kafka.publisher import Publisher
from infra.redis.stores.item_store import ItemCache, MemoryItemStore
from infra.settings import Settings
from schemas.types import Erasure, ErasureRequest, PushRequest
from streams.agents.push import INPUT_TOPICS, PushAgent
from streams.agents.token import INPUT_TOPICS as TOKEN_TOPICS
from streams.agents.token import TokenAgent
from streams.runtime.arm_params import ExperimentParams
from streams.runtime.dead_letter_queue import DeadLetterQueue
from streams.runtime.faust_role import RoleContext
from tests.broker import App, Broker, Codecs, CountingEraser, Reader, Table
from tests.build import T0_MS, a_push_request
from topics.topic import DEVICES, ERASURE_REQUESTS, PARTITIONS, PUSH_REQUESTS

KEY = ErasureKey(b"a secret")


class RecoverableTable(Table):
    def on_recover(self, _: Any) -> None:
        pass


class World:
    """The agents of the push role."""

    def __init__(self) -> None:
        self.broker, self.erasures, self.eraser = Broker(), ErasureIndex(KEY), CountingEraser()
        app, registry = cast(Any, App()), cast(Any, Codecs())
        publisher = Publisher("", registry, new_producer=cast(Any, self.broker.producer))
        dead_letters = DeadLetterQueue(publisher, now_ms=lambda: T0_MS)
        context = RoleContext(app, Settings(), registry, publisher, dead_letters, self.erasures)
        push = PushAgent(
            context, RecoverableTable(self.broker, "pushes"), ItemCache(MemoryItemStore()),
            ExperimentParams(Settings()),
            sender=None, eraser=self.eraser, now_ms=lambda: T0_MS,
        )  # fmt: skip
        token = TokenAgent(context, Table(self.broker, "tokens"))
        self.readers = [
            Reader("push", push, INPUT_TOPICS, self.broker, app),
            Reader("token", token, TOKEN_TOPICS, self.broker, app),
        ]

    def publish(self, event_id: str, user_id: str, **fields: Any) -> None:
        request = a_push_request(event_id=event_id, user_id=user_id, occurred_at=T0_MS, **fields)
        key = user_id.encode()
        data = Codecs().codec(PushRequest).encode(request)
        self.broker.append(PUSH_REQUESTS.name, partition_of(key, PARTITIONS), key, data)

    def erase(self, user_id: str) -> None:
        key, request = user_id.encode(), ErasureRequest(event_id="r1", user_id=user_id, occurred_at=T0_MS)
        erased_at = max(record.timestamp for log in self.broker.logs.values() for record in log)
        erasure = Erasure(user_hash=KEY.hash_of(key), key_id=KEY.key_id, request_id="r1", occurred_at=T0_MS)
        self.erasures.apply(erasure, erased_at)
        data = Codecs().codec(ErasureRequest).encode(request)
        self.broker.append(ERASURE_REQUESTS.name, partition_of(key, PARTITIONS), key, data)

    async def run(self) -> None:
        for _ in range(3):  # the agents feed each other
            for reader in self.readers:
                while await reader.read():
                    pass
                await reader.agent.checkpoint.force()

    def tokens(self) -> dict[str, bool]:
        """Return which tokens have a state."""
        logs = [log for (name, _), log in self.broker.logs.items() if name == "tokens-changelog"]
        return {(record.key or b"").decode(): record.value is not None for log in logs for record in log}

    def devices(self, user_id: str) -> bytes | None:
        logs = [log for (name, _), log in self.broker.logs.items() if name == DEVICES.name]
        return [record.value for log in logs for record in log if record.key == user_id.encode()][-1]


async def test_the_devices_and_the_token_of_an_erased_user_go() -> None:
    world = World()
    world.publish("e1", "alex", token="t1")
    world.publish("e2", "kim", token="t2")
    await world.run()
    world.erase("alex")
    await world.run()
    assert world.tokens() == {"t1": False, "t2": True}
    assert world.devices("alex") is None
    assert world.devices("kim") is not None
    assert world.eraser.counts == {"alex": {"state: pushes": 1}}


async def test_a_token_that_another_user_has_by_now_stays() -> None:
    world = World()
    world.publish("e1", "alex", token="t1")
    await world.run()
    world.publish("e2", "kim", token="t1")
    world.erase("alex")
    await world.run()
    assert world.tokens() == {"t1": True}


async def test_a_token_that_its_owner_has_unregistered_names_nobody() -> None:
    world = World()
    world.publish("e1", "alex", token="t1")
    await world.run()
    world.publish("e2", "alex", kind="unregister", token="t1")
    await world.run()
    assert world.tokens() == {"t1": False}
