"""Read model of experiment definitions: the hash `experiments` in Redis, or memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import msgspec
from redis.asyncio import Redis

from infra.redis.connection import store_errors
from schemas.types import Experiment

KEY = "experiments"
_WRITE = """
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored or cjson.decode(stored).occurred_at <= tonumber(ARGV[2]) then
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
"""
"""Writes a definition (id, time, JSON) unless a newer one is stored: the API writes it as well as the log role."""


class ExperimentStore(Protocol):
    """Definitions of experiments. All methods raise `StoreError` if the store does not answer."""

    async def write(self, experiments: Sequence[Experiment]) -> None:
        """Replace definitions that are not newer; of two with one time the last one wins."""
        ...

    async def read(self) -> list[Experiment]:
        """Return all definitions, newest first."""
        ...


class MemoryExperimentStore:
    """Definitions in memory."""

    def __init__(self) -> None:
        self._experiments: dict[str, Experiment] = {}

    async def write(self, experiments: Sequence[Experiment]) -> None:
        """Replace definitions."""
        for one in experiments:
            previous = self._experiments.get(one.experiment_id)
            if previous is None or previous.occurred_at <= one.occurred_at:
                self._experiments[one.experiment_id] = one

    async def read(self) -> list[Experiment]:
        """Return all definitions."""
        return _newest_first(list(self._experiments.values()))


class RedisExperimentStore:
    """Definitions in Redis, as JSON."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._decoder = msgspec.json.Decoder(Experiment)

    async def write(self, experiments: Sequence[Experiment]) -> None:
        """Replace definitions."""
        pipeline = self._redis.pipeline(transaction=False)
        for one in experiments:
            pipeline.eval(_WRITE, 1, KEY, one.experiment_id, str(one.occurred_at), msgspec.json.encode(one))
        with store_errors("writing experiments"):
            await pipeline.execute()

    async def read(self) -> list[Experiment]:
        """Return all definitions."""
        with store_errors("reading experiments"):
            documents = cast("dict[bytes, bytes]", await self._redis.hgetall(KEY))
        return _newest_first([self._decoder.decode(data) for data in documents.values()])


def _newest_first(experiments: list[Experiment]) -> list[Experiment]:
    return sorted(experiments, key=lambda one: (-one.occurred_at, one.experiment_id))
