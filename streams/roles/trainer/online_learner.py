"""Online learner: what all users share and learn between full fits, and the records to publish from it.

It learns from the choices and the visits that feed workers publish. Its state is in what it publishes: a version names
the next offset of each topic learned from, and a successor continues there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

import msgspec

from infra.redis.stores.model_status import SERVING, Version
from models.blend.personal import PersonalWeights
from schemas.types import Choice, ErasureRequest, ModelVersion, UserWeights, Visits
from streams.core.learning import visits
from streams.core.learning.choices import learn_choice
from streams.core.learning.repeats import RepeatRates
from streams.core.learning.visits import Positions
from streams.core.ranking.pipeline import new_blender
from streams.core.ranking.stages.features import weights_by_name
from streams.roles.trainer.model_version import record, version_of
from streams.runtime.state.model_restore import restore_and_log

Message = Choice | Visits | ErasureRequest
Offsets = Mapping[str, list[int]]
"""The next offset of each partition, by topic."""


class OnlineLearner:
    """Weights and repeat rates, which continue from the version in service."""

    def __init__(self, *, most_users: int | None = None) -> None:
        """Start from the prior.

        Args:
            most_users: Number of users with weights of their own, those with the newest choices; all by default.
        """
        self._most_users = most_users
        self.weights, self.repeats = PersonalWeights(new_blender(), most_users=most_users), RepeatRates()
        self._positions: Positions = {}
        self.watermark = 0
        """Time of the newest choice learned from, in ms since the epoch."""
        self.base: Version | None = None
        """The version whose weights it started from."""
        self.omissions: Counter[str] = Counter()
        """Entries left out of records for lack of space, by collection."""
        self._start = self._published_outcomes = 0
        self._published_categories: Collection[str] = ()

    @property
    def outcomes(self) -> int:
        """Return the number of outcomes learned since the base version."""
        return self.weights.blender.outcomes - self._start

    @property
    def version(self) -> str:
        """Return the name of the current weights: the base version, and the number of outcomes since."""
        name = "" if self.base is None else self.base.version
        return f"{name}+{self.outcomes}" if self.outcomes else name

    @property
    def has_unpublished(self) -> bool:
        """Return whether the weights, or the categories that repeat, have changed since they were published."""
        return self.outcomes != self._published_outcomes or self._published_categories != self.repeats.categories

    def apply(self, message: Message) -> None:
        """Learn from a choice, count visits, or forget the weights of an erased user."""
        match message:
            case Choice():
                learn_choice(self.weights, message)
                self.watermark = max(self.watermark, message.occurred_at)
            case Visits():
                visits.count(self.repeats, self._positions, message)
            case ErasureRequest():
                self.weights.forget(message.user_id)

    def promote(
        self, version: Version, weights: PersonalWeights, repeats: RepeatRates, positions: Mapping[int, tuple[int, int]]
    ) -> None:
        """Continue with what a full fit has learned.

        Args:
            version: The version of the fit.
            weights: Its weights.
            repeats: Its repeat rates.
            positions: The newest positions of interactions in it.
        """
        self.weights, self.repeats, self._positions = weights, repeats, dict(positions)
        self.weights.most_users = self._most_users
        self.watermark = max(self.watermark, version.watermark)
        self._begin(version, 0, repeats.categories)

    def warm_start(self, model_version: ModelVersion) -> bool:
        """Continue from the weights in service; return False when they share no ranking feature."""
        if not restore_and_log(self.weights.blender, model_version):
            return False
        self.repeats.restore(
            model_version.repeated_categories, rates=model_version.repeat_rates, visits=model_version.repeat_visits
        )
        self.watermark = model_version.watermark
        version = version_of(model_version)
        name, _, outcomes = version.version.partition("+")
        self._begin(
            msgspec.structs.replace(version, version=name), int(outcomes or 0), model_version.repeated_categories
        )
        return True

    def user_weights(self, most: int) -> Iterator[UserWeights]:
        """Yield the changed personal weights of at most `most` users."""
        for user_id in self.weights.drain(most):
            offset = self.weights.offset(user_id)
            if offset is not None:
                yield UserWeights(user_id=user_id, weights=weights_by_name(offset), watermark=self.watermark)

    def model_version(self, now_ms: int, *, events: int, offsets: Offsets) -> ModelVersion:
        """Return the record of the current weights, under the name `version`.

        Args:
            now_ms: The time in ms since the epoch.
            events: Number of interactions so far.
            offsets: The offsets to continue from.
        """
        self._published_outcomes, self._published_categories = self.outcomes, self.repeats.categories
        version = Version(
            version=self.version,
            status=SERVING,
            reason="learned live",
            created_at=now_ms,
            watermark=self.watermark,
            events=events,
            metrics=self.base.metrics if self.base else {},
        )
        blender = self.weights.blender
        return record(version, list(blender.features), blender.state(), repeats=self.repeats, offsets=offsets)

    def _begin(self, version: Version, outcomes: int, categories: Collection[str]) -> None:
        self.base = version
        self._start = self.weights.blender.outcomes - outcomes
        self._published_outcomes = outcomes
        self._published_categories = frozenset(categories)
