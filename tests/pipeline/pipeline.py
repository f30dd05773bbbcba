"""A running pipeline for tests: worker processes to start and kill, records to publish, topics to read back."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka.admin import AdminClient
from redis.asyncio import Redis

from infra import heartbeat
from infra.address import Addresses
from infra.publisher import Publisher
from infra.redis_client import connect
from infra.registry import Registry
from infra.renew import renew
from infra.settle import end_offsets, settled, work_left
from schemas.types import DeadLetter, Trigger
from topics import Topic
from topics.topic import DEAD_LETTERS, FEATURES, ITEM_SIGNALS, ITEM_STATS, TRIGGERS


class Pipeline:
    """Roles as processes over the servers of a stack."""

    def __init__(
        self, addresses: Addresses, home: Path, registry: Registry, publisher: Publisher, redis: Redis
    ) -> None:
        self.addresses, self.home = addresses, home
        self.registry, self.publisher, self.redis = registry, publisher, redis
        self._admin = AdminClient({"bootstrap.servers": addresses.kafka_bootstrap_servers})
        self._processes: list[asyncio.subprocess.Process] = []

    async def start(self, roles: str = "feed", *, worker_id: str = "0", **env: str) -> asyncio.subprocess.Process:
        """Start a worker process."""
        return await self._spawn("-m", "cli.main", "worker", "--roles", roles, WORKER_ID=worker_id, **env)

    async def start_module(self, module: str, *, worker_id: str = "0") -> asyncio.subprocess.Process:
        """Start a module of the tests as a worker process."""
        return await self._spawn("-m", module, WORKER_ID=worker_id)

    async def kill(self, process: asyncio.subprocess.Process) -> None:
        """Kill a process as a crash would."""
        process.send_signal(signal.SIGKILL)
        await process.wait()

    async def stop(self, process: asyncio.subprocess.Process) -> int:
        """Stop a process as an operator would, and return its exit status."""
        process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(process.wait(), 30)

    async def close(self) -> None:
        """Stop what still runs."""
        for process in self._processes:
            if process.returncode is None:
                await self.stop(process)

    async def publish(self, topic: Topic, values: Sequence[msgspec.Struct]) -> None:
        """Publish records, in order."""
        for value in values:
            self.publisher.produce(topic, value)
        await self.publisher.flush()

    async def settle(self, timeout_s: float = 180.0) -> None:
        """Wait until nothing is left to do."""
        await settled(self.addresses.kafka_bootstrap_servers, self.redis, timeout_s=timeout_s)

    async def work_left(self) -> dict[str, int]:
        """Return what there is to do."""
        return await work_left(self._admin, self.redis)

    async def signals(self) -> int:
        """Return how many item signals were sent."""
        ends = await asyncio.to_thread(end_offsets, self._admin, [ITEM_SIGNALS])
        return sum(ends.values())

    async def rerank(self, user_ids: Iterable[str], *, now_ms: int) -> None:
        """Have everybody ranked again from what is known now."""
        triggers = [
            Trigger(event_id=str(uuid.uuid4()), user_id=user_id, kind="refresh", occurred_at=now_ms)
            for user_id in user_ids
        ]
        await self.publish(TRIGGERS, triggers)
        await self.settle()

    async def _spawn(self, *args: str, **env: str) -> asyncio.subprocess.Process:
        told = {
            "KAFKA_BOOTSTRAP_SERVERS": self.addresses.kafka_bootstrap_servers,
            "SCHEMA_REGISTRY_URL": self.addresses.schema_registry_url,
            "REDIS_URL": self.addresses.redis_url,
            "DATABASE_URL": self.addresses.database_url,
            "MILLRACE_HOME": str(self.home),
        }
        log = (self.home / f"process-{len(self._processes)}.log").open("wb")
        process = await asyncio.create_subprocess_exec(
            sys.executable, *args, env=os.environ | told | env, stdout=log, stderr=log
        )
        log.close()
        self._processes.append(process)
        return process

    async def roles(self) -> list[dict[str, Any]]:
        """Return the signs of life."""
        return await heartbeat.signs(self.redis)

    async def read(self, topic: Topic) -> list[Any]:
        """Return all records of a topic, partition by partition."""
        codec = self.registry.codec(topic.record)
        consumer = AIOKafkaConsumer(bootstrap_servers=self.addresses.kafka_bootstrap_servers, enable_auto_commit=False)
        await consumer.start()
        try:
            found: list[Any] = []
            for number in range(topic.partitions):
                tp = TopicPartition(topic.name, number)
                consumer.assign([tp])
                await consumer.seek_to_beginning(tp)
                end = (await consumer.end_offsets([tp]))[tp]
                while await consumer.position(tp) < end:
                    for records in (await consumer.getmany(tp, timeout_ms=500)).values():
                        found.extend(codec.decode(record.value) for record in records if record.value is not None)
            return found
        finally:
            await consumer.stop()

    async def newest(self, topic: Topic) -> dict[str, Any]:
        """Return the newest record of each key."""
        return {topic.key_of(value).decode(): value for value in await self.read(topic)}

    async def dead_letters(self) -> list[DeadLetter]:
        """Return each dead letter once."""
        return list((await self.newest(DEAD_LETTERS)).values())

    async def features(self) -> dict[str, Any]:
        """Return the newest features by user."""
        return await self.newest(FEATURES)

    async def stats(self) -> dict[str, Any]:
        """Return the newest stats by item."""
        return await self.newest(ITEM_STATS)


async def until(condition: Callable[[], Any], *, timeout_s: float = 60.0, what: str = "") -> Any:
    """Poll a condition, plain or awaitable, until it holds, and return what it gave."""
    deadline_s = asyncio.get_running_loop().time() + timeout_s
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if asyncio.get_running_loop().time() > deadline_s:
            raise TimeoutError(f"not within {timeout_s:g} s: {what or condition}")
        await asyncio.sleep(0.05)


@asynccontextmanager
async def a_pipeline(addresses: Addresses, home: Path) -> AsyncIterator[Pipeline]:
    """Yield a pipeline on topics and a store that are empty."""
    await renew(addresses)
    registry = Registry(addresses.schema_registry_url)
    await asyncio.to_thread(registry.connect)
    publisher = Publisher(addresses.kafka_bootstrap_servers, registry)
    redis = connect(addresses.redis_url)
    pipeline = Pipeline(addresses, home, registry, publisher, redis)
    try:
        yield pipeline
    finally:
        await pipeline.close()
        await publisher.close()
        await redis.aclose()
        registry.close()
