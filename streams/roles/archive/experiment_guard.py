"""Experiment guard: judges the arms of running experiments by their early outcomes, and pauses harmful ones.

Early outcomes tell within seconds what users did with the items shown to them, for the same time after each impression.
Guardrails therefore act long before outcomes close; slower harm is found by the closed ones (`experiment_judge.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from infra.experiments.experiment_sums import PostgresExperimentSums, SumsQuery
from infra.redis.stores.experiment_store import ExperimentStore
from schemas.arm_pause import active_from, is_paused
from schemas.types import Experiment
from streams.core.experiment_results.guardrail import Breach, Guardrail, breaches
from streams.core.experiment_results.results import moments_of_sums
from streams.roles.archive.arm_pauser import ArmPauser
from streams.roles.archive.rounds import repeat

_MAX_SHARE = 0.5


class ExperimentGuard:
    """Judges running experiments, one after the other.

    Args:
        sums: Reads the early outcomes.
        experiments: The definitions.
        pauser: Pauses arms.
        guardrails: The bounds of lifts.
    """

    def __init__(
        self,
        sums: PostgresExperimentSums,
        experiments: ExperimentStore,
        pauser: ArmPauser,
        *,
        guardrails: Sequence[Guardrail],
    ) -> None:
        self._sums, self._experiments, self._pauser = sums, experiments, pauser
        self._guardrails = guardrails
        self._starts: dict[str, int] = {}
        """Time of the first early outcome by experiment without a start of its own, in ms since the epoch."""

    async def run(self) -> None:
        """Judge in rounds until cancelled.

        Raises:
            PublishError: the definition of an experiment was not written.
        """
        await repeat(self.judge, max_share=_MAX_SHARE)

    async def judge(self) -> None:
        """Judge all running experiments once.

        Raises:
            StoreError: PostgreSQL or Redis does not answer.
            PublishError: the definition of an experiment was not written.
        """
        if not self._guardrails:
            return
        running = [one for one in await self._experiments.read() if one.status == "running" and not one.is_shadow]
        ids = {one.experiment_id for one in running}
        self._starts = {name: start_ms for name, start_ms in self._starts.items() if name in ids}
        for experiment in running:
            found_breaches = await self._breaches(experiment)
            if found_breaches:
                await self._pauser.pause(experiment, found_breaches)

    async def _breaches(self, experiment: Experiment) -> dict[str, list[Breach]]:
        """Return the breaches of the arms that are not paused, each since it was resumed."""
        arms = defaultdict[int | None, list[str]](list)
        for arm in experiment.arms[1:]:
            if not is_paused(arm):
                arms[active_from(arm)].append(arm.name)
        found_breaches: dict[str, list[Breach]] = {}
        for from_ms, names in arms.items():
            start_ms = experiment.starts_at or self._starts.get(experiment.experiment_id)
            query = SumsQuery(experiment_id=experiment.experiment_id, start_ms=start_ms, from_ms=from_ms)
            sums = await self._sums.read(query)
            if sums is None:
                continue
            self._starts[experiment.experiment_id] = sums.start_ms
            moments = {
                name: {one.metric: moments_of_sums(arm.users, arm.sums[one.metric]) for one in self._guardrails}
                for name, arm in sums.arms.items()
            }
            of_arms = breaches(experiment, moments, self._guardrails)
            found_breaches |= {name: of_arms[name] for name in names if name in of_arms}
        return found_breaches
