"""Push role: decides on notifications, sends them, and tracks devices.

push-requests ──▶ push ──▶ FCM
feeds ──────────▶  │ ├──▶ notifications ──▶ inbox ──▶ push store
experiments ────▶  │ │
                   │ ├──▶ devices ─────────▶
                   │ ├──▶ push-tokens ──▶ token ──▶ push-requests, for the previous user of a device
                   └─┴──▶ push-requests, when delayed notifications are due
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from infra import clock, fcm
from infra.kafka.admin.provision import PUSH_TABLES, consumer_group
from infra.redis.projection import RedisProjection
from infra.redis.stores.experiment_store import RedisExperimentStore
from infra.redis.stores.item_store import ItemCache, RedisItemStore
from infra.redis.stores.push_store import MAX_AGE_MS, RedisPushStore
from infra.settings import Settings
from streams.agents import inbox, push, token
from streams.runtime.arm_params import ExperimentParams
from streams.runtime.faust_role import PUBLISH_TIMEOUT_S, RoleContext, assignment, new_app, register_agent
from streams.runtime.refill.store_refill import Refills
from streams.runtime.retry import retry_until_available
from streams.runtime.role import open_role
from streams.runtime.state.experiment_follower import ExperimentFollower
from streams.runtime.user_eraser import RedisUserEraser
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
    async with open_role("push", settings, publish_timeout_s=PUBLISH_TIMEOUT_S) as role, AsyncExitStack() as clients:
        if sender is not None:
            clients.push_async_callback(sender.close)
        app = await new_app(settings, consumer_group("push"), "push")
        context = RoleContext(app, settings, role.registry, role.publisher, role.dead_letters, role.erasures)
        pushes, tokens = (app.bytes_table(name, partitions=PARTITIONS) for name in PUSH_TABLES)
        items = ItemCache(RedisItemStore(role.redis))
        experiments = ExperimentParams(settings)
        follower = ExperimentFollower(RedisExperimentStore(role.redis), experiments)
        await retry_until_available(follower.refresh, "pushes wait for the definitions of experiments")
        push_agent = push.PushAgent(
            context,
            pushes,
            items,
            experiments,
            sender=sender,
            eraser=RedisUserEraser(role.redis, "push"),
            now_ms=now_ms,
        )
        inbox_agent = inbox.InboxAgent(context, RedisPushStore(role.redis))
        register_agent(app, push.INPUT_TOPICS, push_agent)
        register_agent(app, token.INPUT_TOPICS, token.TokenAgent(context, tokens))
        register_agent(app, inbox.INPUT_TOPICS, inbox_agent)
        refills = Refills(role, RedisProjection(role.redis), assignment(app))
        refills.add(DEVICES, inbox_agent.refill_devices)
        refills.add(NOTIFICATIONS, inbox_agent.refill_notifications, age_ms=MAX_AGE_MS)

        def describe() -> dict[str, Any]:
            return {
                "waiting": push_agent.waiting,
                "configured": sender is not None,
                "trimmed": dict(push_agent.evictions),
            }

        tasks = push_agent.run(), items.follow(), follower.run(), refills.run()
        async with role.alongside(stop, *tasks, describe=describe):
            await run_app(app, stop)
