"""Pauses the arms of experiments that breach guardrails, and the experiment itself where no other arm is left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from infra.experiments.arm_pauses import ArmPauseError, paused_by_guardrails
from infra.kafka.publisher import RecordPublisher
from infra.redis.stores.experiment_store import ExperimentStore
from schemas.arm_pause import active_from, is_paused
from schemas.types import Experiment
from streams.core.experiment_results.guardrail import Breach
from topics.topic import EXPERIMENTS

_LOG = logging.getLogger(__name__)


class ArmPauser:
    """Publishes the definitions of experiments with arms that are paused.

    Args:
        experiments: The definitions.
        publisher: Publishes definitions.
        now_ms: The clock, in ms since the epoch.
    """

    def __init__(self, experiments: ExperimentStore, publisher: RecordPublisher, now_ms: Callable[[], int]) -> None:
        self._experiments, self._publisher, self._now_ms = experiments, publisher, now_ms
        self.paused_count = 0
        """Arms that this process has paused."""

    async def pause(self, basis: Experiment, breaches: Mapping[str, Sequence[Breach]]) -> None:
        """Pause arms, unless they were paused or resumed since they were judged.

        The definition is stored at once, so that the next round finds it.

        Args:
            basis: The definition by which the arms were judged.
            breaches: Breaches by arm.

        Raises:
            StoreError: Redis does not answer.
            PublishError: the definition was not written.
        """
        present_definitions = {one.experiment_id: one for one in await self._experiments.read()}
        experiment = present_definitions.get(basis.experiment_id)
        if experiment is None or experiment.status != "running":
            return
        times = {arm.name: active_from(arm) for arm in basis.arms}
        reasons = {
            arm.name: f"guardrail: {'; '.join(map(str, breaches[arm.name]))}"
            for arm in experiment.arms
            if breaches.get(arm.name) and not is_paused(arm) and active_from(arm) == times.get(arm.name)
        }
        if not reasons:
            return
        try:
            new = paused_by_guardrails(experiment, reasons, now_ms=self._now_ms())
        except ArmPauseError as error:
            _LOG.error("experiment %s: arms that breach guardrails go on: %s", experiment.experiment_id, error)
            return
        await self._publisher.publish(EXPERIMENTS, [new])
        await self._experiments.write([new])
        self.paused_count += len(reasons)
        for name, reason in reasons.items():
            _LOG.warning("arm %s of experiment %s was paused: %s", name, experiment.experiment_id, reason)
        if new.status == "paused":
            _LOG.warning("experiment %s was paused: no other arm is left", experiment.experiment_id)
