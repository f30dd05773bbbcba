"""Reports of running shadows: how their lists differ from those shown, by the comparisons in the archive."""

from __future__ import annotations

from collections.abc import Callable

import asyncpg

from domain.experiment_results import ArmShadow
from domain.timestamp import HOUR_MS
from infra import clock
from infra.experiments.shadow_sums import PostgresShadowSums, ShadowSums
from infra.redis.metrics.experiment_results_store import ExperimentResultsStore, RedisExperimentResultsStore
from infra.redis.stores.experiment_store import ExperimentStore, RedisExperimentStore
from streams.core.experiment_results.shadow_results import shadow_figures, shadow_results
from streams.roles.archive.rounds import repeat
from streams.runtime.role import Role

_MAX_SHARE = 0.1
"""Share of the time that rounds may take: after long ones the next one waits longer."""


class ShadowReporter:
    """Computes the results of running shadows, one after the other.

    Args:
        sums: Reads the comparisons.
        experiments: The definitions.
        results: The results.
        now_ms: The clock, in ms since the epoch.
    """

    def __init__(
        self,
        sums: PostgresShadowSums,
        experiments: ExperimentStore,
        results: ExperimentResultsStore,
        *,
        now_ms: Callable[[], int],
    ) -> None:
        self._sums, self._experiments, self._results, self._now_ms = sums, experiments, results, now_ms

    async def run(self) -> None:
        """Report in rounds until cancelled. A server that does not answer delays the round."""
        await repeat(self.report, max_share=_MAX_SHARE)

    async def report(self) -> None:
        """Compute the results of all running shadows once.

        Raises:
            StoreError: PostgreSQL or Redis does not answer.
        """
        for experiment in await self._experiments.read():
            if experiment.is_shadow and experiment.status == "running":
                now_ms = self._now_ms()
                arms = await self._sums.read(experiment.experiment_id, hour_since_ms=now_ms - HOUR_MS)
                if arms:
                    shadows = {name: _arm_shadow(sums) for name, sums in arms.items()}
                    await self._results.write(shadow_results(experiment, shadows, now_ms=now_ms))


def _arm_shadow(sums: dict[str, ShadowSums]) -> ArmShadow:
    return ArmShadow(**{span: shadow_figures(one.rankings, one.sums, one.counts) for span, one in sums.items()})


def new_shadow_reporter(role: Role, pool: asyncpg.Pool) -> ShadowReporter:
    """Return the reporter of a role.

    Args:
        role: The role.
        pool: Connections to the archive.
    """
    return ShadowReporter(
        PostgresShadowSums(pool),
        RedisExperimentStore(role.redis),
        RedisExperimentResultsStore(role.redis),
        now_ms=clock.now_ms,
    )
