"""A running pipeline for tests: worker processes to start and kill, records to publish, topics to read back."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient
from redis.asyncio import Redis

from infra import clock
from infra.address import Addresses
from infra.kafka.admin.idle import wait_until_idle, work_left
from infra.kafka.admin.offsets import committed_offsets, end_offsets
from infra.kafka.admin.provision import consumer_group, provision
from infra.kafka.admin.reset import reset_stack
from infra.kafka.publisher import Publisher
from infra.kafka.registry import Registry
from infra.redis import heartbeat
from infra.redis.connection import connect
from infra.redis.stores.model_status import ModelStatus, RedisModelStatusStore, Version
from schemas.limit import RETRAINER
from schemas.types import DeadLetter, Trigger
from tests import waiting
from topics import Topic
from topics.topic import DEAD_LETTERS, FEATURES, FEEDS, ITEM_SIGNALS, ITEM_STATS, PUSH_REQUESTS, PUSH_TOKENS, TRIGGERS

_COMMAND_S = 300.0


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

    async def start_module(self, module: str, *, worker_id: str = "0", **env: str) -> asyncio.subprocess.Process:
        """Start a module of the tests as a worker process."""
        return await self._spawn("-m", module, WORKER_ID=worker_id, **env)

    async def start_api(self, port: int, **env: str) -> str:
        """Start the API as a process and return its address once it answers."""
        url = f"http://127.0.0.1:{port}"
        await self._spawn("-m", "cli.main", "api", API_PORT=str(port), **env)

        async def answers() -> bool:
            try:
                async with httpx.AsyncClient() as http:
                    return (await http.get(f"{url}/health")).is_success
            except httpx.TransportError:
                return False

        await until(answers, what="an answer of the API")
        return url

    async def kill(self, process: asyncio.subprocess.Process) -> None:
        """Kill a process as a crash would; what it last said of itself is not waited out."""
        process.send_signal(signal.SIGKILL)
        await process.wait()
        async for key in self.redis.scan_iter(match=f"{heartbeat.KEY}*:{process.pid}"):
            await self.redis.delete(key)

    async def stop(self, process: asyncio.subprocess.Process) -> int:
        """Stop a process as an operator would, and return its exit status."""
        process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(process.wait(), 30)

    async def close(self) -> None:
        """Stop what still runs."""
        for process in self._processes:
            if process.returncode is None:
                await self.stop(process)

    @property
    def processes(self) -> list[asyncio.subprocess.Process]:
        """Return the processes that run."""
        return [process for process in self._processes if process.returncode is None]

    async def publish(self, topic: Topic, values: Sequence[msgspec.Struct]) -> None:
        """Publish records, in order."""
        for value in values:
            self.publisher.produce(topic, value)
        await self.publisher.flush()

    def set_clock(self, now_ms: int) -> None:
        """Have workers with a clock of ours know another time; who reads meanwhile reads the old or the new one."""
        new = self.home / "clock.new"
        new.write_text(str(now_ms))
        new.replace(self.home / "clock")

    async def settle(self, timeout_s: float = 180.0) -> None:
        """Wait until nothing is left to do."""
        await wait_until_idle(self.addresses.kafka_bootstrap_servers, self.redis, timeout_s=timeout_s)

    async def work_left(self) -> dict[str, int]:
        """Return what there is to do."""
        return await work_left(self._admin, self.redis)

    async def pushed(self) -> None:
        """Wait until the push role has worked on everything that is asked for and shown, for good."""

        async def done() -> bool:
            ends = await asyncio.to_thread(end_offsets, self._admin, [FEEDS, PUSH_REQUESTS, PUSH_TOKENS])
            offsets = await asyncio.to_thread(committed_offsets, self._admin, consumer_group("push"))
            return all(offsets.get(partition, 0) >= end for partition, end in ends.items())

        await until(done, what="the push role to catch up")

    async def signals(self) -> int:
        """Return how many item signals were sent."""
        ends = await asyncio.to_thread(end_offsets, self._admin, [ITEM_SIGNALS])
        return sum(ends.values())

    async def lose(self, topic: str) -> None:
        """Delete a topic, as if it had never been, and provision anew."""
        deletion = self._admin.delete_topics([topic])[topic]
        await asyncio.to_thread(deletion.result, _COMMAND_S)

        async def gone() -> bool:
            return topic not in (await asyncio.to_thread(self._admin.list_topics, timeout=_COMMAND_S)).topics

        await until(gone, what=f"{topic} to be gone")
        await provision(self.addresses)

    async def delete_records(self, topic: Topic) -> None:
        """Delete all records of a topic so far, as retention does."""
        partitions = [KafkaPartition(topic.name, number, -1) for number in range(topic.partitions)]
        for future in self._admin.delete_records(partitions).values():
            await asyncio.to_thread(future.result, _COMMAND_S)

    async def rerank(self, user_ids: Iterable[str], *, now_ms: int) -> None:
        """Have everybody ranked again from what is known now."""
        triggers = [
            Trigger(event_id=str(uuid.uuid4()), user_id=user_id, kind="refresh", occurred_at=now_ms)
            for user_id in user_ids
        ]
        await self.publish(TRIGGERS, triggers)
        await self.settle()

    async def millrace(self, *arguments: str, **env: str) -> tuple[int, str, str]:
        """Run a command to its end, and return its exit status and what it printed."""
        return await self.python("-m", "cli.main", *arguments, **env)

    async def python(self, *arguments: str, **env: str) -> tuple[int, str, str]:
        """Run a program to its end, and return its exit status and what it printed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, env=self._environment | env, stdout=PIPE, stderr=PIPE
        )
        out, err = await asyncio.wait_for(process.communicate(), _COMMAND_S)
        return process.returncode or 0, out.decode(), err.decode()

    async def _spawn(self, *args: str, **env: str) -> asyncio.subprocess.Process:
        log = (self.home / f"process-{len(self._processes)}.log").open("wb")
        process = await asyncio.create_subprocess_exec(
            sys.executable, *args, env=self._environment | env, stdout=log, stderr=log
        )
        log.close()
        self._processes.append(process)
        return process

    @property
    def _environment(self) -> dict[str, str]:
        environment = {name.upper(): value for name, value in msgspec.to_builtins(self.addresses).items()}
        environment["MILLRACE_HOME"] = str(self.home)
        environment["TRIGGER_WINDOW_S"] = "0"  # what tests ask for again is to be done again
        return os.environ | environment

    async def board(self) -> ModelStatus:
        """Return what the trainer has written of the models."""
        return await RedisModelStatusStore(self.redis).read()

    async def fit(self, *, timeout_s: float = 120.0) -> Version:
        """Ask for a full fit and return what came of it."""
        event_id = str(uuid.uuid4())
        trigger = Trigger(event_id=event_id, user_id=RETRAINER, kind="retrain", occurred_at=clock.now_ms())
        await self.publish(TRIGGERS, [trigger])
        return await self.fitted(event_id, timeout_s=timeout_s)

    async def fitted(self, event_id: str, *, timeout_s: float = 120.0) -> Version:
        """Wait for the fit that a trigger asked for."""

        async def answer() -> Version | None:
            versions = (await self.board()).versions
            return next((version for version in versions if event_id in version.request_ids), None)

        result: Version = await until(answer, timeout_s=timeout_s, what="an answer to the call for a fit")
        return result

    async def roles(self) -> list[dict[str, Any]]:
        """Return the heartbeats."""
        return await heartbeat.heartbeats(self.redis)

    async def read(self, topic: Topic) -> list[Any]:
        """Return all records of a topic, in the order of each partition."""
        codec = self.registry.codec(topic.record)
        return [codec.decode(value) for _, value in await self.messages(topic) if value is not None]

    async def newest(self, topic: Topic) -> dict[str, Any]:
        """Return the newest record of each key that was not deleted since."""
        codec = self.registry.codec(topic.record)
        newest = dict(await self.messages(topic))
        return {key.decode(): codec.decode(value) for key, value in newest.items() if value is not None}

    async def messages(self, topic: Topic) -> list[tuple[bytes, bytes | None]]:
        """Return the keys and values of a topic."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.addresses.kafka_bootstrap_servers, enable_auto_commit=False)
        await consumer.start()
        try:
            # All partitions at once: one after the other, each would wait for the last fetch of the one before.
            partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            found_records: list[tuple[bytes, bytes | None]] = []
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found_records.extend((record.key, record.value) for record in records)
            return found_records
        finally:
            await consumer.stop()

    async def dead_letters(self) -> list[DeadLetter]:
        """Return each dead letter once."""
        return list((await self.newest(DEAD_LETTERS)).values())

    async def features(self) -> dict[str, Any]:
        """Return the newest features by user."""
        return await self.newest(FEATURES)

    async def stats(self) -> dict[str, Any]:
        """Return the newest stats by item."""
        return await self.newest(ITEM_STATS)


def local_ms(text: str, zone: str) -> int:
    """Return the time of a local date and hour, in ms since the epoch."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


until = partial(waiting.until, timeout_s=120.0, look_every_s=0.05)
"""Waits for what other processes do."""


@asynccontextmanager
async def a_pipeline(addresses: Addresses, home: Path) -> AsyncIterator[Pipeline]:
    """Yield a pipeline on topics and a store that are empty."""
    await reset_stack(addresses)
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
