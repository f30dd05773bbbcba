"""Experiment follower: the definitions of experiments, read from Redis every few seconds by roles without rankings."""

from __future__ import annotations

import asyncio
import logging

from infra.experiments.arm_parameters import UnknownArmParameterError
from infra.redis.connection import StoreError
from infra.redis.stores.experiment_store import ExperimentStore
from infra.settings import SettingsError
from streams.runtime.arm_params import ExperimentParams

_LOOK_S = 5.0
_LOG = logging.getLogger(__name__)


class ExperimentFollower:
    """Keeps the experiments of a role as they are in the store.

    Args:
        store: The definitions.
        experiments: Takes the definitions.
    """

    def __init__(self, store: ExperimentStore, experiments: ExperimentParams) -> None:
        self._store, self._experiments = store, experiments
        self._versions: dict[str, int] = {}
        """Versions of the definitions that were read, in ms since the epoch, by experiment."""

    async def run(self) -> None:
        """Follow the store until cancelled; while it does not answer, the last definitions hold."""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                await self.refresh()
            except StoreError as error:
                _LOG.warning("definitions of experiments wait for the store: %s", error)

    async def refresh(self) -> None:
        """Read the store once. Definitions with parameters that cannot be used here are left out.

        Raises:
            StoreError: the store does not answer.
        """
        experiments = await self._store.read()
        versions = {one.experiment_id: one.occurred_at for one in experiments}
        for experiment_id in self._versions.keys() - versions.keys():
            self._experiments.table.remove(experiment_id)
        for one in experiments:
            if self._versions.get(one.experiment_id) == one.occurred_at:
                continue
            try:
                self._experiments.put(one)
            except (UnknownArmParameterError, SettingsError) as error:
                _LOG.warning("experiment %s is left out: %s", one.experiment_id, error)
        self._versions = versions
