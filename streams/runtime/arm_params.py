"""Parameters of rankings and pushes under experiments: those of the settings, with those of arms instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from domain.experiment_assignment import unit_hash
from infra.experiments.arm_parameters import with_arm_parameters
from infra.settings import Settings
from schemas.types import Experiment, Features, Feed
from streams.core.experiments.experiment_table import ExperimentTable
from streams.core.params import LlmBlendParams, PushParams, RankParams
from streams.runtime.core_params import llm_blend_params, push_params, rank_params

_MAX_COMBINATIONS = 1_000
"""Combinations of parameters that are kept."""


@dataclass(frozen=True, slots=True)
class ArmParams:
    """The parameters of a user's ranking, and the arms behind them."""

    arms: Mapping[str, str]
    """Names of the user's arms, by experiment; those of paused arms are missing."""
    rank: RankParams
    llm_blend: LlmBlendParams


@dataclass(frozen=True, slots=True)
class ShadowParams:
    """The parameters of a user's ranking under an arm of a shadow."""

    experiment_id: str
    arm: str
    rank: RankParams
    llm_blend: LlmBlendParams


class ExperimentParams:
    """The experiments that a worker knows, and the parameters that follow from them.

    Args:
        settings: The settings of the worker, which hold where no arm says otherwise.
        table: The experiments; none by default.
    """

    def __init__(self, settings: Settings, table: ExperimentTable | None = None) -> None:
        self._settings = settings
        self.table = table or ExperimentTable()
        self._combinations: dict[tuple[tuple[str, str], ...], tuple[RankParams, LlmBlendParams, PushParams]] = {}

    def put(self, experiment: Experiment) -> None:
        """Take a definition, which replaces the one before.

        Raises:
            UnknownArmParameterError, SettingsError: an arm has unusable parameters; the experiment is forgotten.
        """
        self.table.remove(experiment.experiment_id)
        for arm in experiment.arms:
            with_arm_parameters(self._settings, arm.parameters)
        self.table.put(experiment)

    def of(self, features: Features, *, at_ms: int) -> ArmParams:
        """Return the parameters of the ranking of a user, with the user's arms.

        Args:
            features: The features of the user.
            at_ms: The time in the stream, in ms since the epoch.
        """
        arms = self.table.arms(features, at_ms=at_ms)
        rank, llm_blend, _ = self._combined(arms)
        return ArmParams(self.table.active(arms), rank, llm_blend)

    def shadow_of(self, features: Features, *, at_ms: int) -> ShadowParams | None:
        """Return the parameters under which a user's ranking is repeated; None for most rankings.

        A hash of the user and of the version of the features says whether, and under which arm of all shadows. So
        SHADOW_SHARE bounds what shadows cost, however many there are, and the sample is the same in a replay.

        Args:
            features: The features of the user.
            at_ms: The time in the stream, in ms since the epoch.
        """
        draw, share = unit_hash(f"shadow\n{features.version}", features.user_id), self._settings.shadow_share
        if draw >= share:
            return None
        shadow_arms = self.table.shadow_arms(features, at_ms=at_ms)
        if not shadow_arms:
            return None
        experiment_id, arm = shadow_arms[int(draw / share * len(shadow_arms))]
        arms = self.table.arms(features, at_ms=at_ms)
        rank, llm_blend, _ = self._combined({**arms, experiment_id: arm})
        return ShadowParams(experiment_id, arm, rank, llm_blend)

    def default(self) -> ArmParams:
        """Return the parameters of a ranking for nobody in particular: those of the promoted arms."""
        rank, llm_blend, _ = self._combined({})
        return ArmParams({}, rank, llm_blend)

    def push(self, arms: Mapping[str, str]) -> PushParams:
        """Return the parameters of the pushes to a user.

        Args:
            arms: The arms of the user, by experiment, as feeds have named them.
        """
        return self._combined(arms)[-1]

    def _combined(self, arms: Mapping[str, str]) -> tuple[RankParams, LlmBlendParams, PushParams]:
        parameters = self.table.parameters(arms)
        key = tuple(sorted(parameters.items()))
        combination = self._combinations.get(key)
        if combination is None:
            if len(self._combinations) >= _MAX_COMBINATIONS:
                self._combinations.clear()
            settings = with_arm_parameters(self._settings, parameters)
            combination = rank_params(settings), llm_blend_params(settings), push_params(settings)
            self._combinations[key] = combination
        return combination


def with_arms(feed: Feed, arms: Mapping[str, str]) -> Feed:
    """Return a feed that names the arms under which it was ranked.

    Args:
        feed: The feed.
        arms: Names of the user's arms, by experiment.
    """
    return replace(feed, arms=dict(arms)) if arms else feed
