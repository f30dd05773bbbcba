"""The experiments that a worker knows, and the arms of users at a time."""

from __future__ import annotations

from collections.abc import Mapping

from domain.experiment_assignment import arm_of, bucket_of
from schemas.arm_pause import is_paused
from schemas.types import Arm, Experiment, Features


class ExperimentTable:
    """The newest definition of each experiment.

    Arms depend on the definitions, the user's features and the time in the stream alone, so that they are the same in
    every worker and in every replay.
    """

    def __init__(self) -> None:
        self._experiments: dict[str, Experiment] = {}
        self._running: list[Experiment] = []
        self._shadows: list[Experiment] = []
        """Experiments that run as shadows."""
        self._shares: dict[str, dict[str, float]] = {}
        """Shares of the arms of running experiments, by experiment."""
        self._winners: list[Experiment] = []
        """Experiments with a promoted arm, in the order of the promotions."""

    def put(self, experiment: Experiment) -> None:
        """Take a definition, which replaces the one before."""
        self._experiments[experiment.experiment_id] = experiment
        self._index()

    def remove(self, experiment_id: str) -> None:
        """Forget an experiment."""
        if self._experiments.pop(experiment_id, None) is not None:
            self._index()

    def defined_at(self, experiment_id: str) -> int:
        """Return the version of an experiment's definition, in ms since the epoch; 0 for an unknown experiment."""
        experiment = self._experiments.get(experiment_id)
        return 0 if experiment is None else experiment.occurred_at

    def arms(self, features: Features, *, at_ms: int) -> dict[str, str]:
        """Return the arms of a user at a time, by experiment, whether they are paused or not.

        Of experiments that claim the same bucket of a layer, the one with the smallest id has it.

        Args:
            features: The features of the user.
            at_ms: The time in the stream, in ms since the epoch.
        """
        user_id, arms, layers = features.user_id, dict[str, str](), set[str]()
        for one in self._running:
            layer = _layer_of(one)
            if layer not in layers and _has_part(one, features, at_ms=at_ms):
                layers.add(layer)
                arms[one.experiment_id] = arm_of(
                    one.salt or one.experiment_id, self._shares[one.experiment_id], user_id
                )
        return arms

    def active(self, arms: Mapping[str, str]) -> dict[str, str]:
        """Return the arms that are not paused: those that a ranking counts for.

        Args:
            arms: The arms of the user, by experiment.
        """
        return {
            experiment_id: name
            for experiment_id, name in arms.items()
            if (arm := self._arm(experiment_id, name)) is not None and not is_paused(arm)
        }

    def followed(self, arms: Mapping[str, str], feed_arms: Mapping[str, str]) -> dict[str, str]:
        """Return the arms of a user by the feeds: a feed names no paused arm, but its user stays in it.

        Args:
            arms: The arms of the user before the feed, by experiment.
            feed_arms: The arms that the feed names.
        """
        paused_arms = {
            experiment_id: name
            for experiment_id, name in arms.items()
            if any(one.experiment_id == experiment_id for one in self._running)
            and (arm := self._arm(experiment_id, name)) is not None
            and is_paused(arm)
        }
        return paused_arms | dict(feed_arms)

    def shadow_arms(self, features: Features, *, at_ms: int) -> list[tuple[str, str]]:
        """Return the arms of all shadows that a user takes part in at a time, but for their first ones.

        Args:
            features: The features of the user.
            at_ms: The time in the stream, in ms since the epoch.

        Returns:
            The experiment and the name of each arm.
        """
        return [
            (one.experiment_id, arm.name)
            for one in self._shadows
            if _has_part(one, features, at_ms=at_ms)
            for arm in one.arms[1:]
            if not is_paused(arm)
        ]

    def parameters(self, arms: Mapping[str, str]) -> dict[str, str]:
        """Return the parameters of a ranking: those of the promoted arms, then those of the user's own arms.

        The first arm stands in for a paused one. Unknown experiments and arms set nothing.

        Args:
            arms: The arms of the user, by experiment. Where two set the same parameter, the later one of the mapping
                has effect, that of the experiment with the larger id; layers keep such experiments apart.
        """
        parameters: dict[str, str] = {}
        for one in self._winners:
            winner = self._arm(one.experiment_id, one.winner)
            parameters |= {} if winner is None else winner.parameters
        for experiment_id, name in arms.items():
            arm = self._arm(experiment_id, name)
            if arm is not None and is_paused(arm):
                arm = self._experiments[experiment_id].arms[0]
            parameters |= {} if arm is None else arm.parameters
        return parameters

    def _arm(self, experiment_id: str, name: str) -> Arm | None:
        experiment = self._experiments.get(experiment_id)
        arms = [] if experiment is None else experiment.arms
        return next((arm for arm in arms if arm.name == name), None)

    def _index(self) -> None:
        experiments = sorted(self._experiments.values(), key=lambda one: one.experiment_id)
        self._running = [one for one in experiments if one.status == "running" and not one.is_shadow]
        self._shadows = [one for one in experiments if one.status == "running" and one.is_shadow]
        self._shares = {one.experiment_id: {arm.name: arm.share for arm in one.arms} for one in self._running}
        self._winners = sorted((one for one in experiments if one.winner), key=lambda one: one.promoted_at or 0)


def _layer_of(experiment: Experiment) -> str:
    return experiment.layer or f"\n{experiment.experiment_id}"  # no layer has such a name


def _has_part(experiment: Experiment, features: Features, *, at_ms: int) -> bool:
    """Return whether a user takes part in a running experiment at a time."""
    return (
        experiment.traffic_from <= bucket_of(_layer_of(experiment), features.user_id) < experiment.traffic_to
        and (experiment.starts_at is None or experiment.starts_at <= at_ms)
        and (experiment.ends_at is None or at_ms < experiment.ends_at)
        and is_targeted(experiment, features)
    )


def is_targeted(experiment: Experiment, features: Features) -> bool:
    """Return whether a user has an accepted value of every attribute that an experiment targets.

    Args:
        experiment: The experiment.
        features: The features of the user.
    """
    return all(
        not {value.casefold() for value in values}.isdisjoint(_attribute(features, name))
        for name, values in experiment.targeting.items()
    )


def _attribute(features: Features, name: str) -> set[str]:
    """Return the values of a user's attribute, in lower case; none for an attribute that is not known."""
    values = {
        "segment": [features.segment],
        "city": [features.city or ""],
        "timezone": [features.timezone],
        "interest": features.preferred,
    }.get(name, [])
    return {value.casefold() for value in values if value}
