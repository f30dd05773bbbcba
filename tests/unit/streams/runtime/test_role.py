"""Scaffold of a role: heartbeats beside its work, with the figures of the clients that every role has."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import msgspec
import pytest

from infra.erasure.erasure_index import ErasureIndex
from infra.kafka.publisher import Publisher
from infra.settings import Settings
from streams.runtime.dead_letter_queue import DeadLetterQueue
from streams.runtime.role import Role
from tests.broker import Broker, Codecs


class Heartbeats:
    """The commands of Redis that heartbeats use; `first` is set with the first heartbeat."""

    def __init__(self) -> None:
        self.reports: dict[str, dict[str, Any]] = {}
        self.first = asyncio.Event()

    def pipeline(self, *, transaction: bool) -> Heartbeats:
        return self

    def set(self, name: str, value: bytes, *, ex: int) -> None:
        self.reports[name] = msgspec.json.decode(value)

    def zadd(self, *_: object) -> None: ...

    def zremrangebyscore(self, *_: object) -> None: ...

    def zremrangebyrank(self, *_: object) -> None: ...

    async def execute(self) -> None:
        self.first.set()

    async def delete(self, name: str) -> None:
        del self.reports[name]


class QuietLog:
    """A log of erasures without any."""

    async def run(self) -> None:
        await asyncio.Event().wait()


def a_role(redis: Heartbeats) -> Role:
    publisher = Publisher("", cast(Any, Codecs()), new_producer=cast(Any, Broker().producer))
    dead_letters = DeadLetterQueue(publisher, now_ms=lambda: 0)
    dead_letters.counts["log.write", "refused"] = 2
    registry, erasures = cast(Any, Codecs()), ErasureIndex(None)
    return Role("log", Settings(), registry, publisher, cast(Any, redis), dead_letters, erasures, cast(Any, QuietLog()))


async def test_a_heartbeat_holds_the_figures_of_the_role_and_of_its_clients() -> None:
    redis, stop = Heartbeats(), asyncio.Event()
    role = a_role(redis)
    running = asyncio.ensure_future(role.run(stop, asyncio.Event().wait(), describe=lambda: {"written": 7}))  # type: ignore[arg-type]
    await asyncio.wait_for(redis.first.wait(), 5)
    [report] = redis.reports.values()
    assert (report["role"], report["written"]) == ("log", 7)
    assert (report["rejected"], report["dead_letters"]) == ({}, {"log.write.refused": 2})
    stop.set()
    await asyncio.wait_for(running, 5)
    assert not redis.reports, "a role that has ended has no heartbeat"
    await role.publisher.close()


async def test_the_failure_of_its_work_ends_a_role() -> None:
    async def fail() -> None:
        raise LookupError("gone")

    redis, stop = Heartbeats(), asyncio.Event()
    role = a_role(redis)
    with pytest.raises(LookupError, match="gone"):
        await asyncio.wait_for(role.run(stop, fail()), 5)
    assert stop.is_set()
    assert not redis.reports
    await role.publisher.close()
