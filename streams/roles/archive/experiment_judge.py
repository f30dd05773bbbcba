"""Judges experiments by the outcomes in the archive: their results, and arms that breach guardrails.

Experiments are judged while they run, and after a pause or the end until their last outcomes are known.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import asyncpg

from domain.experiment_results import ExperimentResults, guardrail_limits
from infra import clock
from infra.experiments.experiment_sums import ExperimentSums, PostgresExperimentSums, SumsQuery
from infra.redis.metrics.experiment_results_store import ExperimentResultsStore, RedisExperimentResultsStore
from infra.redis.stores.experiment_store import ExperimentStore, RedisExperimentStore
from schemas.arm_pause import active_from, active_until, first_pause, is_paused
from schemas.types import Experiment
from streams.core.experiment_results.guardrail import Guardrail, breaches
from streams.core.experiment_results.results import ArmMoments, experiment_results, moments_of_sums
from streams.core.experiment_results.sample_ratio import SAMPLE_USERS, Division
from streams.roles.archive.arm_pauser import ArmPauser
from streams.roles.archive.experiment_guard import ExperimentGuard
from streams.roles.archive.rounds import repeat
from streams.runtime.role import Role

_MAX_SHARE = 0.25
_WRITE_MS = 600_000
"""Time within which outcomes that can no longer change are in the archive, in ms."""
_LOG = logging.getLogger(__name__)


class ExperimentJudge:
    """Computes the results of experiments, one after the other.

    Args:
        sums: Reads the outcomes.
        experiments: The definitions.
        results: The results.
        pauser: Pauses arms.
        guardrails: The bounds of lifts.
        settle_ms: Time after an impression within which its outcome may still change, in ms.
        now_ms: The clock, in ms since the epoch.
    """

    def __init__(
        self,
        sums: PostgresExperimentSums,
        experiments: ExperimentStore,
        results: ExperimentResultsStore,
        pauser: ArmPauser,
        *,
        guardrails: Sequence[Guardrail],
        settle_ms: int,
        now_ms: Callable[[], int],
    ) -> None:
        self._sums, self._experiments, self._results, self._pauser = sums, experiments, results, pauser
        self._guardrails, self._settle_ms, self._now_ms = guardrails, settle_ms, now_ms
        self._starts: dict[str, int] = {}
        """Time of the first outcome by experiment without a start of its own, in ms since the epoch."""

    async def run(self) -> None:
        """Judge in rounds until cancelled.

        Raises:
            PublishError: the definition of an experiment was not written.
        """
        await repeat(self.judge, max_share=_MAX_SHARE)

    async def judge(self) -> None:
        """Judge all experiments once whose outcomes may still change.

        Raises:
            StoreError: PostgreSQL or Redis does not answer.
            PublishError: the definition of an experiment was not written.
        """
        experiments = await self._experiments.read()
        await self._results.keep([one.experiment_id for one in experiments])
        open_experiments = [one for one in experiments if self._is_open(one) and not one.is_shadow]
        ids = {one.experiment_id for one in open_experiments}
        self._starts = {name: start_ms for name, start_ms in self._starts.items() if name in ids}
        for experiment in open_experiments:
            await self._judge(experiment)

    def _is_open(self, experiment: Experiment) -> bool:
        if experiment.status in ("paused", "completed"):
            return self._now_ms() - experiment.occurred_at < self._settle_ms
        return experiment.status == "running"

    async def _judge(self, experiment: Experiment) -> None:
        whole = await self._read(experiment, None, None)
        if whole is None:
            return
        self._starts[experiment.experiment_id] = whole.start_ms
        arms, active_times = _moments(whole), await self._active_times(experiment)
        results = experiment_results(
            experiment,
            arms,
            guardrails=self._guardrails,
            since_ms=whole.start_ms,
            now_ms=self._now_ms(),
            users_of_several_arms=whole.users_of_several_arms,
            active_times=active_times,
            division=_division(experiment, whole),
        )
        await self._results.write(results)
        _warn(results)
        names = [arm.name for arm in experiment.arms if not is_paused(arm)]
        found_breaches = {
            name: breaches(experiment, active_times.get(name, arms), self._guardrails).get(name, []) for name in names
        }
        if any(found_breaches.values()):
            await self._pauser.pause(experiment, found_breaches)

    async def _active_times(self, experiment: Experiment) -> dict[str, ArmMoments]:
        """Return the moments of all arms in the time in which an arm was active last, by arm that was ever paused."""
        active_times: dict[str, ArmMoments] = {}
        for arm in experiment.arms:
            if arm.pauses:
                sums = await self._read(experiment, active_from(arm), active_until(arm))
                active_times[arm.name] = {} if sums is None else _moments(sums)
        return active_times

    async def _read(self, experiment: Experiment, from_ms: int | None, until_ms: int | None) -> ExperimentSums | None:
        """Return the sums of an experiment over some time in ms since the epoch; None for no bound."""
        query = SumsQuery(
            experiment_id=experiment.experiment_id,
            start_ms=experiment.starts_at or self._starts.get(experiment.experiment_id),
            from_ms=from_ms,
            until_ms=until_ms,
            first_pause_ms=first_pause(experiment),
            sample_size=SAMPLE_USERS,
        )
        return await self._sums.read(query)


def new_experiment_judges(role: Role, pool: asyncpg.Pool) -> tuple[ExperimentJudge, ExperimentGuard, ArmPauser]:
    """Return the judges of a role by closed and by early outcomes, and what pauses arms for both.

    Args:
        role: The role.
        pool: Connections to the archive.
    """
    settings = role.settings
    limits = guardrail_limits(settings.experiment_guardrails)
    guardrails = [Guardrail(metric, limit) for metric, limit in limits.items()]
    experiments = RedisExperimentStore(role.redis)
    pauser = ArmPauser(experiments, role.publisher, clock.now_ms)
    judge = ExperimentJudge(
        PostgresExperimentSums(pool),
        experiments,
        RedisExperimentResultsStore(role.redis),
        pauser,
        guardrails=guardrails,
        settle_ms=round(1_000 * (settings.outcome_window_s + settings.outcome_lateness_s)) + _WRITE_MS,
        now_ms=clock.now_ms,
    )
    early_sums = PostgresExperimentSums(pool, "early_outcomes")
    return judge, ExperimentGuard(early_sums, experiments, pauser, guardrails=guardrails), pauser


def _moments(sums: ExperimentSums) -> ArmMoments:
    return {
        name: {metric: moments_of_sums(arm.users, numbers) for metric, numbers in arm.sums.items()}
        for name, arm in sums.arms.items()
    }


def _division(experiment: Experiment, sums: ExperimentSums) -> Division:
    arms = [sums.arms.get(arm.name) for arm in experiment.arms]
    return Division(
        [0 if arm is None else arm.users_before for arm in arms],
        [0 if arm is None else arm.users - arm.users_before for arm in arms],
        [0 if arm is None else arm.sample_users for arm in arms],
    )


def _warn(results: ExperimentResults) -> None:
    if results.has_sample_ratio_mismatch:
        _LOG.warning(
            "the users of experiment %s are not divided as defined (p = %.2g): trust none of its figures",
            results.experiment_id,
            results.sample_ratio_p,
        )
