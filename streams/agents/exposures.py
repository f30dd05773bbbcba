"""Recording of exposures: the first ranking of a user under each arm is published."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from infra.kafka.publisher import Publisher
from streams.core.experiments.experiment_table import ExperimentTable
from streams.core.experiments.exposure import ExposureLog, exposure_of
from topics.topic import EXPOSURES


class ExposureRecorder:
    """Publishes each exposure once, as far as this process and the states of users know; a repeat has the same id."""

    def __init__(self, publisher: Publisher, experiments: ExperimentTable) -> None:
        """Create the recorder.

        Args:
            publisher: Publishes the exposures.
            experiments: Supplies the versions of definitions.
        """
        self._publisher, self._experiments, self._log = publisher, experiments, ExposureLog()

    def record(self, user_id: str, arms: Mapping[str, str], *, first_at: int) -> None:
        """Publish the exposures of a user that are not known yet.

        Args:
            user_id: The user.
            arms: The arms of the user, by experiment.
            first_at: Time of the ranking under them, in ms since the epoch.
        """
        for experiment_id, arm in arms.items():
            defined_at = self._experiments.defined_at(experiment_id)
            exposure = exposure_of(user_id, experiment_id, arm, defined_at=defined_at, first_at=first_at)
            if self._log.add(exposure):
                self._publisher.produce(EXPOSURES, exposure)

    def restore(self, user_id: str, event_ids: Collection[int]) -> None:
        """Take exposures that were published before, by the fingerprints of their ids, as the user's state has them."""
        if event_ids:
            self._log.restore(user_id, event_ids)

    def forget_user(self, user_id: str) -> None:
        """Forget the exposures of a user."""
        self._log.forget_user(user_id)
