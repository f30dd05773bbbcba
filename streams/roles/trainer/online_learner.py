"""Learning as events come: what the trainer holds between full fits, and what it has to tell of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from infra.redis.stores.model_status import SERVING, Version
from models.neighbours.cooccurrence import NEXT, TOGETHER
from schemas.types import Interaction, Item, ItemNeighbors, ModelVersion, Profile, UserWeights
from streams.core.byte_budget import strongest
from streams.core.learning.learner import Learner
from streams.core.position import Position
from streams.core.ranking.features import by_name
from streams.core.ranking.model_state import restore
from streams.roles.trainer.candidate_fit import learn_event
from streams.roles.trainer.model_version import ROW_BYTES, record, version_of

_LINK_BYTES = 20
"""Bytes of the two sums of a link, and of the length of the id beside them."""


@dataclass(frozen=True, slots=True)
class ItemDeleted:
    """An item that was taken off the catalogue."""

    item_id: str


@dataclass(frozen=True, slots=True)
class ProfileForgotten:
    """A user whose profile was forgotten, and until when, in ms since the epoch."""

    user_id: str
    at_ms: int


Message = Interaction | Item | Profile | ItemDeleted | ProfileForgotten


class OnlineLearner:
    """A learner that goes on from the version in service."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self.base: Version | None = None
        """The version whose weights it goes on from."""
        self.outcomes = 0
        """Outcomes learned from since."""
        self.trimmed: Counter[str] = Counter()
        """What records had no room for."""
        self._told_outcomes = 0
        self._start = 0
        """Outcomes that the learner's blender had learned from when it began to go on."""

    @property
    def waiting(self) -> int:
        """Return how many changed rows are not published yet."""
        return self.learner.view.neighbors.waiting

    @property
    def version(self) -> str:
        """Return the name of the weights as they are now: that of their base, and the outcomes since."""
        name = "" if self.base is None else self.base.version
        return f"{name}+{self._now}" if self._now else name

    @property
    def has_unpublished(self) -> bool:
        """Say whether weights have changed since they were told."""
        return self._now != self._told_outcomes

    @property
    def _now(self) -> int:
        return self.learner.blender.outcomes - self._start

    def apply(self, told: Message, position: Position, *, weigh: bool) -> None:
        """Take in what a topic told."""
        apply_message(self.learner, told, position, weigh=weigh)
        self.outcomes = self._now

    def promote(self, learner: Learner, version: Version) -> None:
        """Go on with what a full fit has learned."""
        self.learner = learner
        self._begin(version, 0)

    def warm_start(self, told: ModelVersion) -> bool:
        """Go on from weights in service; False when they are of other parts."""
        if not restore(self.learner.blender, told):
            return False
        version = version_of(told)
        name, _, outcomes = version.version.partition("+")
        self._begin(msgspec.structs.replace(version, version=name), int(outcomes or 0))
        return True

    def rows(self, most_links: int) -> Iterator[ItemNeighbors]:
        """Yield changed rows, those of young items first, until they hold about so many links."""
        table = self.learner.view.neighbors
        while most_links > 0 and table.waiting:
            row = self._row(table.drain(1)[0])
            most_links -= 1 + len(row.neighbors)
            yield row

    def user_weights(self, most: int) -> Iterator[UserWeights]:
        """Yield what at most so many users' choices add to the weights, where that changed."""
        learner = self.learner
        for user_id in learner.weights.drain(most):
            offset = learner.weights.offset(user_id)
            if offset is not None:
                yield UserWeights(user_id=user_id, weights=by_name(offset), watermark=learner.view.watermark)

    def weights(self, now_ms: int) -> ModelVersion:
        """Return the weights as they are now, under the name of their base and how far they went since."""
        self._told_outcomes = self._now
        version = Version(
            version=self.version,
            status=SERVING,
            reason="learned live",
            created_at=now_ms,
            watermark=self.learner.view.watermark,
            events=self.learner.events,
            metrics=self.base.metrics if self.base else {},
        )
        return record(version, list(self.learner.blender.features), self.learner.blender.state())

    def _begin(self, version: Version, outcomes: int) -> None:
        self.base = version
        self._start = self.learner.blender.outcomes - outcomes
        self.outcomes = self._told_outcomes = outcomes

    def _row(self, index: int) -> ItemNeighbors:
        view = self.learner.view
        others, sums = view.neighbors.links.row(index)
        names = [view.items.names[other] for other in others.tolist()]
        kept = strongest(names, sums.sum(axis=0).tolist(), ROW_BYTES, each=_LINK_BYTES)
        self.trimmed["links"] += len(names) - len(kept)
        sums = sums[:, kept]
        return ItemNeighbors(
            item_id=view.items.names[index],
            neighbors=[names[place] for place in kept],
            scores=sums[TOGETHER].tolist(),
            follows=sums[NEXT].tolist(),
            mass=view.neighbors.links.mass(index),
            reference=view.neighbors.reference_ms or 0,
            watermark=view.watermark,
        )


def apply_message(learner: Learner, told: Message, position: Position, *, weigh: bool) -> None:
    """Have a learner take in what a topic told."""
    match told:
        case Interaction():
            learn_event(learner, told, position, weigh=weigh)
        case Item():
            learner.view.apply_item(told)
        case Profile():
            learner.profile(told, position)
        case ItemDeleted(item_id):
            learner.view.remove_item(item_id)
        case ProfileForgotten(user_id, at_ms):
            learner.forget_profile(user_id, at_ms, position)
