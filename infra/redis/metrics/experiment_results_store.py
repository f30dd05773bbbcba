"""Read model of the results of experiments: the hash `experiment_results` in Redis, or memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, cast

import msgspec
from redis.asyncio import Redis

from domain.experiment_results import ExperimentResults
from infra.redis.connection import store_errors
from infra.redis.stores.experiment_store import ExperimentStore

KEY = "experiment_results"


class ExperimentResultsStore(Protocol):
    """The newest results of each experiment. All methods raise `StoreError` if the store does not answer."""

    async def write(self, results: ExperimentResults) -> None:
        """Replace the results of an experiment."""
        ...

    async def read(self, experiment_id: str) -> ExperimentResults | None:
        """Return the results of an experiment; None before the first."""
        ...

    async def keep(self, experiment_ids: Collection[str]) -> None:
        """Delete the results of all other experiments."""
        ...


class MemoryExperimentResultsStore:
    """Results in memory."""

    def __init__(self) -> None:
        self._results: dict[str, ExperimentResults] = {}

    async def write(self, results: ExperimentResults) -> None:
        """Replace the results of an experiment."""
        self._results[results.experiment_id] = results

    async def read(self, experiment_id: str) -> ExperimentResults | None:
        """Return the results of an experiment."""
        return self._results.get(experiment_id)

    async def keep(self, experiment_ids: Collection[str]) -> None:
        """Delete the results of all other experiments."""
        self._results = {name: self._results[name] for name in self._results.keys() & set(experiment_ids)}


class RedisExperimentResultsStore:
    """Results in Redis, as JSON."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._decoder = msgspec.json.Decoder(ExperimentResults)

    async def write(self, results: ExperimentResults) -> None:
        """Replace the results of an experiment."""
        with store_errors("writing the results of an experiment"):
            await self._redis.hset(KEY, results.experiment_id, msgspec.json.encode(results))

    async def read(self, experiment_id: str) -> ExperimentResults | None:
        """Return the results of an experiment."""
        with store_errors("reading the results of an experiment"):
            document = cast("bytes | None", await self._redis.hget(KEY, experiment_id))
        return None if document is None else self._decoder.decode(document)

    async def keep(self, experiment_ids: Collection[str]) -> None:
        """Delete the results of all other experiments."""
        with store_errors("deleting the results of experiments"):
            names = [name.decode() for name in cast("list[bytes]", await self._redis.hkeys(KEY))]
            old_names = [name for name in names if name not in set(experiment_ids)]
            if old_names:
                await self._redis.hdel(KEY, *old_names)


async def shadow_results(experiments: ExperimentStore, results: ExperimentResultsStore) -> Sequence[ExperimentResults]:
    """Return the results of all running shadows.

    Args:
        experiments: The definitions.
        results: The results.

    Raises:
        StoreError: a store does not answer.
    """
    ids = [one.experiment_id for one in await experiments.read() if one.is_shadow and one.status == "running"]
    stored_results = [await results.read(experiment_id) for experiment_id in ids]
    return [one for one in stored_results if one is not None]
