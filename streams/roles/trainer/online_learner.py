"""Online learner: the trainer's state between full fits, and the records to publish from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from domain.state import State
from infra.redis.stores.model_status import SERVING, Version
from schemas.types import Choice, ErasureRequest, Interaction, Item, ModelVersion, Profile, UserWeights
from streams.core.learning.choices import learn_choice
from streams.core.learning.learner import Learner, LearnerParams
from streams.core.position import Position
from streams.core.ranking.stages.features import weights_by_name
from streams.roles.trainer.candidate_fit import learn_event
from streams.roles.trainer.model_version import record, version_of
from streams.runtime.state.model_restore import restore_and_log


@dataclass(frozen=True, slots=True)
class ItemDeleted:
    """The deletion of an item from the catalogue."""

    item_id: str


@dataclass(frozen=True, slots=True)
class ProfileForgotten:
    """The deletion of a user's profile, up to a time in ms since the epoch."""

    user_id: str
    at_ms: int


Message = Interaction | Choice | Item | Profile | ItemDeleted | ProfileForgotten | ErasureRequest


class OnlineLearner:
    """A learner that continues from the version in service."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self.base: Version | None = None
        """The version whose weights it started from."""
        self.outcomes = 0
        """Outcomes learned since then."""
        self.omissions: Counter[str] = Counter()
        """Entries left out of records for lack of space, by collection."""
        self._published_outcomes = 0
        self._published_categories: frozenset[str] = frozenset()
        self._start = 0
        """Outcomes that the blender had learned when it started from the base version."""

    @property
    def version(self) -> str:
        """Return the name of the current weights: the base version, and the number of outcomes since."""
        name = "" if self.base is None else self.base.version
        return f"{name}+{self._now}" if self._now else name

    @property
    def has_unpublished(self) -> bool:
        """Return whether the weights, or the categories that repeat, have changed since they were published."""
        return self._now != self._published_outcomes or self._published_categories != self.learner.repeats.categories

    @property
    def _now(self) -> int:
        return self.learner.blender.outcomes - self._start

    def apply(self, message: Message, position: Position) -> None:
        """Apply a message of a topic.

        Args:
            message: The message.
            position: Its position in the topic.
        """
        apply_message(self.learner, message, position)
        self.outcomes = self._now

    def promote(self, learner: Learner, version: Version) -> None:
        """Continue with the learner of a full fit, without its links: they are learned elsewhere."""
        learner.stop_links()
        self.learner = learner
        self._begin(version, 0, learner.repeats.categories)

    def warm_start(self, model_version: ModelVersion) -> bool:
        """Continue from the weights in service; return False when they share no ranking feature."""
        if not restore_and_log(self.learner.blender, model_version):
            return False
        self.learner.restore_repeats(model_version.repeated_categories)
        version = version_of(model_version)
        name, _, outcomes = version.version.partition("+")
        self._begin(
            msgspec.structs.replace(version, version=name), int(outcomes or 0), model_version.repeated_categories
        )
        return True

    def state(self) -> State:
        """Return the state of the learner, with its version and what of it is published."""
        return self.deferred_state()()

    def deferred_state(self) -> Callable[[], State]:
        """Return a function that returns the state as of now, which takes long; the learner must not learn before."""
        learner = self.learner
        rest = {
            "base": None if self.base is None else msgspec.to_builtins(self.base),
            "outcomes": self.outcomes,
            "published_outcomes": self._published_outcomes,
            "published_categories": self._published_categories,
            "start": self._start,
            "omissions": dict(self.omissions),
        }
        return lambda: {**rest, "learner": learner.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state as if learning had never stopped; a state that does not fit changes nothing.

        Raises:
            KeyError: a part is missing.
            ValueError: a part has another shape.
        """
        learner = new_learner(self.learner.params)
        learner.restore(state["learner"])
        base = None if state["base"] is None else msgspec.convert(state["base"], Version)
        outcomes, published_outcomes, start = state["outcomes"], state["published_outcomes"], state["start"]
        categories, omissions = frozenset(state["published_categories"]), Counter(state["omissions"])
        self.base, self.learner, self.omissions = base, learner, omissions
        self.outcomes, self._published_outcomes, self._start = outcomes, published_outcomes, start
        self._published_categories = categories

    def user_weights(self, most: int) -> Iterator[UserWeights]:
        """Yield the changed personal weights of at most `most` users."""
        learner = self.learner
        for user_id in learner.weights.drain(most):
            offset = learner.weights.offset(user_id)
            if offset is not None:
                yield UserWeights(user_id=user_id, weights=weights_by_name(offset), watermark=learner.catalog.watermark)

    def weights(self, now_ms: int) -> ModelVersion:
        """Return the record of the current weights, under the name `version`."""
        self._published_outcomes, self._published_categories = self._now, self.learner.repeats.categories
        version = Version(
            version=self.version,
            status=SERVING,
            reason="learned live",
            created_at=now_ms,
            watermark=self.learner.catalog.watermark,
            events=self.learner.events,
            metrics=self.base.metrics if self.base else {},
        )
        return record(
            version,
            list(self.learner.blender.features),
            self.learner.blender.state(),
            repeated_categories=self._published_categories,
        )

    def _begin(self, version: Version, outcomes: int, categories: Collection[str]) -> None:
        self.base = version
        self._start = self.learner.blender.outcomes - outcomes
        self.outcomes = self._published_outcomes = outcomes
        self._published_categories = frozenset(categories)


def new_learner(params: LearnerParams) -> Learner:
    """Return a learner for learning online, whose item weights come from full fits, and which ranks nothing.

    Args:
        params: Parameters of the learner.
    """
    learner = Learner(params, refits_item_weights=False, learns_links=False)
    learner.stop_fits()
    return learner


def apply_message(learner: Learner, message: Message, position: Position) -> None:
    """Apply a message of a topic to a learner. Feature weights are learned from choices alone.

    Args:
        learner: The learner to update.
        message: The message.
        position: Its position in the topic.
    """
    match message:
        case Interaction():
            learn_event(learner, message, position, learn_weights=False)
        case Choice():
            learn_choice(learner.weights, message)
        case Item():
            learner.catalog.apply_item(message)
        case Profile():
            learner.profile(message, position)
        case ItemDeleted(item_id):
            learner.catalog.remove_item(item_id)
        case ProfileForgotten(user_id, at_ms):
            learner.forget_profile(user_id, at_ms, position)
        case ErasureRequest():
            learner.erase(message.user_id)
