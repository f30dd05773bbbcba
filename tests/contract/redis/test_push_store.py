"""One suite for every push store: what holds in memory holds in Redis."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from infra.redis.connection import StoreError, connect
from infra.redis.stores.push_store import MAX_NOTIFICATIONS, NOTIFICATIONS, MemoryPushStore, PushStore, RedisPushStore
from schemas.types import Device, Devices, PushPreferences, QuietHours
from tests.build import T0_MS, a_notification


@pytest.fixture(params=("memory", "redis"))
def pushes(request: pytest.FixtureRequest, redis: Redis) -> PushStore:
    return MemoryPushStore() if request.param == "memory" else RedisPushStore(redis)


def devices(user_id: str = "u1", *tokens: str) -> Devices:
    night = QuietHours(start="22:00", end="08:00", timezone="Europe/Lisbon")
    return Devices(
        user_id=user_id,
        devices=[Device(token=token, platform="web", registered_at=T0_MS) for token in tokens],
        preferences=PushPreferences(categories=["jazz"], quiet_hours=night, value_threshold=1.5),
        changed_at=T0_MS,
    )


async def test_devices_come_back_and_the_last_hold(pushes: PushStore) -> None:
    assert await pushes.read_devices("u1") is None
    await pushes.write_devices([])
    await pushes.write_devices([devices("u1", "a"), devices("u2", "b"), devices("u1", "a", "c")])
    assert await pushes.read_devices("u1") == devices("u1", "a", "c")
    assert await pushes.read_devices("u2") == devices("u2", "b")


async def test_decisions_come_back_newest_first(pushes: PushStore) -> None:
    notifications = [a_notification(decided_at=T0_MS + n, notification_id=f"n{n}") for n in range(5)]
    await pushes.add_notifications(notifications[:3])
    await pushes.add_notifications([*notifications[3:], a_notification(user_id="u2")])
    assert await pushes.read_notifications("u1", 100) == notifications[::-1]
    assert await pushes.read_notifications("u1", 2) == notifications[:2:-1]
    assert await pushes.read_notifications("nobody", 2) == []


async def test_a_decision_read_again_is_there_once(pushes: PushStore) -> None:
    notifications = [a_notification(decided_at=T0_MS + n) for n in range(3)]
    for _ in range(2):
        await pushes.add_notifications(notifications)
    assert await pushes.read_notifications("u1", 100) == notifications[::-1]


async def test_only_the_newest_are_kept(pushes: PushStore) -> None:
    notifications = [a_notification(decided_at=T0_MS + n) for n in range(MAX_NOTIFICATIONS + 5)]
    await pushes.add_notifications(notifications)
    assert await pushes.read_notifications("u1", 2 * MAX_NOTIFICATIONS) == notifications[:4:-1]


async def test_decisions_do_not_stay_for_ever(redis: Redis) -> None:
    await RedisPushStore(redis).add_notifications([a_notification()])
    assert 0 < await redis.ttl(f"{NOTIFICATIONS}u1") <= 30 * 86_400


async def test_a_store_that_is_away_says_so() -> None:
    away = connect("redis://127.0.0.1:1/0")
    store = RedisPushStore(away)
    with pytest.raises(StoreError):
        await store.read_devices("u1")
    with pytest.raises(StoreError):
        await store.add_notifications([a_notification()])
    await away.aclose()
