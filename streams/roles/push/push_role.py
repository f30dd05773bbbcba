"""Push role: decides on notifications, sends them, and tracks devices.

push-requests ──▶ push ──▶ FCM
feeds ──────────▶  │ ├──▶ notifications ──▶ inbox ──▶ push store
                   │ ├──▶ devices ─────────▶
                   │ ├──▶ push-tokens ──▶ token ──▶ push-requests, for the previous user of a device
                   └─┴──▶ push-requests, when delayed notifications are due
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from infra import clock, fcm
from infra.kafka.provision import PUSH_APP_ID, PUSH_TABLES
from infra.kafka.publisher import open_publisher
from infra.kafka.registry import Registry
from infra.redis import heartbeat
from infra.redis.connection import connect
from infra.redis.projection import RedisProjection
from infra.redis.stores.item_store import ItemCache, RedisItemStore
from infra.redis.stores.push_store import MAX_AGE_MS, RedisPushStore
from infra.settings import Settings
from streams.agents import inbox, push, token
from streams.runtime.core_params import push_params
from streams.runtime.dead_letter_queue import DeadLetterQueue
from streams.runtime.faust_role import PUBLISH_TIMEOUT_S, RoleContext, assignment, new_app, register_agent
from streams.runtime.refill import Refills
from streams.runtime.supervise import run_alongside
from streams.transport import run as run_app
from topics.topic import DEVICES, NOTIFICATIONS, PARTITIONS


async def run(settings: Settings, stop: asyncio.Event, *, now_ms: Callable[[], int] = clock.now_ms) -> None:
    """Run the push role until `stop` is set.

    Args:
        settings: The settings of the worker.
        stop: Ends the role once it is set.
        now_ms: The clock of the notifications, in ms since the epoch.

    Raises:
        OperatorError: the service account's key cannot be used.
    """
    sender = fcm.connect(settings)
    registry = Registry(settings.schema_registry_url)
    await asyncio.to_thread(registry.connect)
    publisher = await open_publisher(settings.kafka_bootstrap_servers, registry, timeout_s=PUBLISH_TIMEOUT_S)
    redis = connect(settings.redis_url)
    app = await new_app(settings, PUSH_APP_ID, "push")
    dead_letters = DeadLetterQueue(publisher, now_ms=clock.now_ms)
    context = RoleContext(app, settings, registry, publisher, dead_letters)
    pushes, tokens = (app.bytes_table(name, partitions=PARTITIONS) for name in PUSH_TABLES)
    items = ItemCache(RedisItemStore(redis))
    push_agent = push.PushAgent(context, pushes, items, push_params(settings), sender=sender, now_ms=now_ms)
    register_agent(app, push.SOURCES, push_agent)
    register_agent(app, token.SOURCES, token.TokenAgent(context, tokens))
    inbox_agent = inbox.InboxAgent(context, RedisPushStore(redis))
    register_agent(app, inbox.SOURCES, inbox_agent)
    refills = Refills(settings.kafka_bootstrap_servers, registry, RedisProjection(redis), assignment(app))
    refills.add(DEVICES, inbox_agent.refill_devices)
    refills.add(NOTIFICATIONS, inbox_agent.refill_notifications, age_ms=MAX_AGE_MS)

    def describe() -> dict[str, Any]:
        return {
            "waiting": push_agent.waiting,
            "configured": sender is not None,
            "trimmed": dict(push_agent.trimmed),
            **publisher.describe(),
            **dead_letters.describe(),
        }

    try:
        async with run_alongside(
            stop, push_agent.run(), items.follow(), refills.run(), heartbeat.publish_heartbeat(redis, "push", describe)
        ):
            await run_app(app, stop)
    finally:
        if sender is not None:
            await sender.close()
        await publisher.close()
        await redis.aclose()
        registry.close()
