"""Reset of servers that may be emptied, for tests and benchmarks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from infra.address import Addresses
from infra.kafka.admin.provision import APP_ID, provision
from infra.postgres import pool
from infra.redis.connection import connect
from topics import TOPICS

_CALL_S = 30.0
_ASK_EVERY_S = 0.05


async def reset_stack(addresses: Addresses) -> None:
    """Recreate all topics of the pipeline, delete its consumer groups, and empty Redis and PostgreSQL's tables.

    The schema registry is unchanged.

    All data of the servers is lost. No role may be running; after the kill of a role, this waits for the end of its
    consumer session.
    """
    admin = AdminClient({"bootstrap.servers": addresses.kafka_bootstrap_servers, "log_level": 0})
    groups = await _groups(admin)
    if groups:
        await _forget(admin, groups)
    topics = await _topics(admin)
    if topics:
        await _all(admin.delete_topics(topics))
        async with asyncio.timeout(_CALL_S):
            while await _topics(admin):  # noqa: ASYNC110 - the broker has no event for this
                await asyncio.sleep(_ASK_EVERY_S)
    redis = connect(addresses.redis_url)
    try:
        await redis.flushdb()
    finally:
        await redis.aclose()
    if addresses.database_url:
        await pool.empty(addresses.database_url)
    await provision(addresses)


async def _forget(admin: AdminClient, groups: list[str]) -> None:
    async with asyncio.timeout(_CALL_S):
        while True:
            try:
                return await _all(admin.delete_consumer_groups(groups))
            except KafkaException as error:
                if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                    groups = [group for group in groups if group in await _groups(admin)]
                elif error.args[0].code() != KafkaError.NON_EMPTY_GROUP:
                    raise
                await asyncio.sleep(_ASK_EVERY_S)


async def _groups(admin: AdminClient) -> list[str]:
    group_list = await asyncio.to_thread(lambda: admin.list_consumer_groups().result(_CALL_S))
    return [group.group_id for group in group_list.valid if group.group_id.startswith(APP_ID)]


async def _topics(admin: AdminClient) -> list[str]:
    """Return the existing topics of the pipeline, including the internal topics of the stream engine."""
    ours = {topic.name for topic in TOPICS}
    names = (await asyncio.to_thread(admin.list_topics, timeout=_CALL_S)).topics
    return [name for name in names if name in ours or name.startswith(f"{APP_ID}-")]


async def _all(pending: Mapping[str, Any]) -> None:
    for future in pending.values():
        await asyncio.to_thread(future.result, _CALL_S)
