"""Judges running experiments by the outcomes in the archive, and pauses those that breach a guardrail."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
from msgspec.structs import replace

from domain.experiment_results import ExperimentResults, guardrail_limits
from infra import clock
from infra.experiments.experiment_sums import PostgresExperimentSums
from infra.kafka.publisher import RecordPublisher
from infra.redis.connection import StoreError
from infra.redis.metrics.experiment_results_store import ExperimentResultsStore, RedisExperimentResultsStore
from infra.redis.stores.experiment_store import ExperimentStore, RedisExperimentStore
from schemas.types import Experiment
from streams.core.experiment_results.guardrail import Guardrail
from streams.core.experiment_results.results import experiment_results, moments_of_sums
from streams.runtime.role import Role
from topics.topic import EXPERIMENTS

INTERVAL_S = 20.0
"""Time between two rounds, in seconds."""
_MAX_SHARE = 0.25
"""Share of the time that rounds may take: after long ones the next one waits longer."""
_LOG = logging.getLogger(__name__)


class ExperimentJudge:
    """Computes the results of running experiments, one after the other.

    Args:
        sums: Reads the outcomes.
        experiments: The definitions.
        results: The results.
        publisher: Publishes the definitions of experiments that are paused.
        guardrails: The bounds of lifts.
        now_ms: The clock, in ms since the epoch.
    """

    def __init__(
        self,
        sums: PostgresExperimentSums,
        experiments: ExperimentStore,
        results: ExperimentResultsStore,
        publisher: RecordPublisher,
        *,
        guardrails: Sequence[Guardrail],
        now_ms: Callable[[], int],
    ) -> None:
        self._sums, self._experiments, self._results, self._publisher = sums, experiments, results, publisher
        self._guardrails, self._now_ms = guardrails, now_ms
        self._starts: dict[str, int] = {}
        """Time of the first outcome by experiment without a start of its own, in ms since the epoch."""
        self.paused_count = 0

    async def run(self) -> None:
        """Judge in turns until cancelled. A server that does not answer delays the turn.

        Raises:
            PublishError: the definition of a paused experiment was not written.
        """
        while True:
            began_s = time.monotonic()
            try:
                await self.judge()
            except StoreError as error:
                _LOG.warning("experiments wait for a store: %s", error)
            await asyncio.sleep(max(INTERVAL_S, (time.monotonic() - began_s) / _MAX_SHARE))

    async def judge(self) -> None:
        """Judge all running experiments once.

        Raises:
            StoreError: PostgreSQL or Redis does not answer.
            PublishError: the definition of a paused experiment was not written.
        """
        experiments = await self._experiments.read()
        await self._results.keep([one.experiment_id for one in experiments])
        running = [one for one in experiments if one.status == "running" and not one.is_shadow]
        ids = {one.experiment_id for one in running}
        self._starts = {name: since_ms for name, since_ms in self._starts.items() if name in ids}
        for experiment in running:
            results = await self._judge(experiment)
            if results is None:
                continue
            await self._results.write(results)
            if results.has_sample_ratio_mismatch:
                _LOG.warning(
                    "the users of experiment %s are not divided as defined (p = %.2g): trust none of its figures",
                    experiment.experiment_id,
                    results.sample_ratio_p,
                )
            breaches = {arm.name: arm.breaches for arm in results.arms if arm.breaches}
            if breaches:
                await self._pause(experiment, breaches)

    async def _judge(self, experiment: Experiment) -> ExperimentResults | None:
        since_ms = experiment.starts_at or self._starts.get(experiment.experiment_id)
        sums = await self._sums.read(experiment.experiment_id, since_ms=since_ms)
        if sums is None:
            return None
        self._starts[experiment.experiment_id] = sums.since_ms
        arms = {
            name: {metric: moments_of_sums(arm.users, numbers) for metric, numbers in arm.sums.items()}
            for name, arm in sums.arms.items()
        }
        return experiment_results(
            experiment,
            arms,
            guardrails=self._guardrails,
            since_ms=sums.since_ms,
            now_ms=self._now_ms(),
            users_of_several_arms=sums.users_of_several_arms,
        )

    async def _pause(self, experiment: Experiment, breaches: dict[str, Any]) -> None:
        """Publish the definition with the status paused, and store it at once, so that the next turn finds it."""
        new = replace(experiment, status="paused", occurred_at=max(self._now_ms(), experiment.occurred_at + 1))
        await self._publisher.publish(EXPERIMENTS, [new])
        await self._experiments.write([new])
        self.paused_count += 1
        _LOG.warning("experiment %s was paused: guardrails are breached by %s", experiment.experiment_id, breaches)


def new_experiment_judge(role: Role, pool: asyncpg.Pool) -> ExperimentJudge:
    """Return the judge of a role, with the guardrails of its settings.

    Args:
        role: The role.
        pool: Connections to the archive.
    """
    limits = guardrail_limits(role.settings.experiment_guardrails)
    return ExperimentJudge(
        PostgresExperimentSums(pool),
        RedisExperimentStore(role.redis),
        RedisExperimentResultsStore(role.redis),
        role.publisher,
        guardrails=[Guardrail(metric, limit) for metric, limit in limits.items()],
        now_ms=clock.now_ms,
    )
