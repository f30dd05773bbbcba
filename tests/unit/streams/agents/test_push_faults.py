"""Whatever decision or state of the push agent is lost: nothing is acknowledged, and a restart makes it again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from infra.erasure.erasure_index import ErasureIndex
from infra.fcm import SendAnswer
from infra.kafka.partition import partition_of
from infra.kafka.publisher import Publisher, PublishError
from infra.redis.stores.item_store import ItemCache, MemoryItemStore
from infra.settings import Settings
from schemas.types import Notification, PushRequest
from streams.agents.push import INPUT_TOPICS, PushAgent
from streams.runtime.arm_params import ExperimentParams
from streams.runtime.dead_letter_queue import DeadLetterQueue
from streams.runtime.faust_role import RoleContext
from tests.broker import App, Broker, Codecs, CountingEraser, Reader, Table
from tests.build import T0_MS, a_push_request
from topics.topic import DEAD_LETTERS, DEVICES, NOTIFICATIONS, PARTITIONS, PUSH_REQUESTS

USERS, PUSHES = 3, 3


class Phones:
    """Devices that take everything."""

    def __init__(self) -> None:
        self.notification_ids: list[str] = []

    async def send(self, notification: Notification, token: str, *, ttl_s: int) -> SendAnswer:
        self.notification_ids.append(notification.notification_id)
        return SendAnswer("delivered")


class RecoverableTable(Table):
    def on_recover(self, _: Any) -> None:
        pass


def a_broker() -> Broker:
    broker, codec = Broker(), Codecs().codec(PushRequest)
    for number in range(USERS * (1 + PUSHES)):
        user_id = f"u{number % USERS}"
        fields: dict[str, Any] = {"kind": "send", "token": None, "title": f"t{number}"} if number >= USERS else {}
        request = a_push_request(event_id=f"e{number}", user_id=user_id, **fields)
        key = user_id.encode()
        broker.append(PUSH_REQUESTS.name, partition_of(key, PARTITIONS), key, codec.encode(request))
    return broker


async def a_life(broker: Broker, phones: Phones) -> bool:
    """Run an agent until it has nothing more to do, or fails; say whether it failed."""
    app, registry = cast(Any, App()), cast(Any, Codecs())
    publisher = Publisher("", registry, new_producer=cast(Any, broker.producer))
    dead_letters = DeadLetterQueue(publisher, now_ms=lambda: T0_MS)
    context = RoleContext(app, Settings(), registry, publisher, dead_letters, ErasureIndex(None))
    agent = PushAgent(
        context,
        RecoverableTable(broker, "pushes"),
        ItemCache(MemoryItemStore()),
        ExperimentParams(replace(Settings(), push_daily_cap=100)),
        sender=phones,
        eraser=CountingEraser(),
        now_ms=lambda: T0_MS,
    )
    reader, has_failed = Reader("push", agent, INPUT_TOPICS, broker, app), False
    try:
        while await reader.read():
            pass
        await agent.checkpoint.force()
    except PublishError as error:
        has_failed = True
        agent.checkpoint.fail(error)
        try:
            await agent.checkpoint.force()
        except PublishError:
            pass
        else:
            raise AssertionError("the last checkpoint must fail")
    reader.commit()
    await publisher.close()
    return has_failed


async def test_any_message_that_is_lost_is_made_again() -> None:
    whole, phones = a_broker(), Phones()
    assert not await a_life(whole, phones)
    expected_count = crash_count = 0
    for number in range(whole.write_count):
        for refuses in (False, True):
            broker, phones = a_broker(), Phones()
            broker.lost_writes, broker.refuses = {number}, refuses
            crash_count += await a_life(broker, phones)
            assert not await a_life(broker, phones)
            notifications = broker.newest(NOTIFICATIONS)
            assert len(set(phones.notification_ids)) == USERS * PUSHES, "everything is shown"
            assert len(phones.notification_ids) <= USERS * PUSHES + 2, (
                "what a crash interrupted is shown once more, under its id"
            )
            assert {user.user_id: len(user.devices) for user in broker.newest(DEVICES).values()} == {
                f"u{n}": 1 for n in range(USERS)
            }
            assert {one.status for one in notifications.values()} == {"sent"}
            assert broker.newest(DEAD_LETTERS) == {}
            assert sum(broker.committed_offsets.values()) == USERS * (1 + PUSHES)
            expected_count += 1
    assert crash_count == expected_count == 2 * whole.write_count
