"""The states of a worker and the trainer after a load, folded in this process by the same cores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.load import EventLoad
from bench.rig import OnBenchProgress
from infra.redis.stores.model_status import SERVING, Version
from infra.settings import Settings
from models.blend.blender import Blender
from models.neighbours.cooccurrence import NEXT, TOGETHER
from schemas.types import ItemNeighbors
from streams.core.item import item_stats
from streams.core.item.item_stats import ItemState
from streams.core.learning.learner import Learner
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot, ItemLabels
from streams.core.user import user_state
from streams.core.user.user_state import UserState
from streams.roles.trainer.learner_params import learner_params
from streams.roles.trainer.model_version import fitted_version, item_weight_rows
from streams.runtime.core_params import signal_params, user_params

_WEIGHED = 1_000
"""Number of last events for learning the weights: more would change the weights, but not the ranking time."""
_TELL_EVERY = 1_000


@dataclass(frozen=True, slots=True)
class Folded:
    """The inputs of the ranking."""

    snapshot: CatalogSnapshot
    blender: Blender
    users: dict[str, UserState]
    """States of the active users, the most recently active last."""


def folded(load: EventLoad, settings: Settings, *, on_progress: OnBenchProgress) -> Folded:
    """Fold the history of a load, and learn from it."""
    learner, snapshot = Learner(learner_params(settings), refits_item_weights=False), CatalogSnapshot()
    for item in load.items:
        learner.catalog.apply_item(item)
        snapshot.apply_item(item)
    users, items = states(load, snapshot)
    for number, event in enumerate(load.history()):
        if number % _TELL_EVERY == 0:
            on_progress("learn in this process", number, load.size.events)
        learner.learn(
            event, Position(0, number, event.occurred_at), learn_weights=number >= load.size.events - _WEIGHED
        )
    _apply_learned(learner, snapshot, items)
    return Folded(snapshot, learner.blender, users)


def states(load: EventLoad, snapshot: CatalogSnapshot) -> tuple[dict[str, UserState], dict[str, ItemState]]:
    """Return the states of users, the most recently active last, and of items after a load's history."""
    of_user, of_item = user_params(Settings()), signal_params(Settings())
    users: dict[str, UserState] = {}
    items: dict[str, ItemState] = {}
    for number, event in enumerate(load.history()):
        state = users[event.user_id] = users.pop(event.user_id, UserState(event.user_id))
        subject = snapshot.labels(event.item_id) or ItemLabels()
        position = Position(0, number, event.occurred_at)
        item_signal = user_state.fold(state, event, position, subject=subject, params=of_user)
        if item_signal is not None:
            item_state = items.setdefault(item_signal.item_id, ItemState(item_signal.item_id))
            item_stats.fold(item_state, item_stats.to_record([item_signal]), params=of_item)
    return users, items


def _apply_learned(learner: Learner, snapshot: CatalogSnapshot, items: dict[str, ItemState]) -> None:
    """Apply item statistics and learned weights to a snapshot."""
    learner.fit()
    version = Version(
        version="bench", status=SERVING, reason="", created_at=0, watermark=0, events=learner.events, metrics={}
    )
    for state in items.values():
        snapshot.apply_stats(item_stats.stats(state))
    for row in neighbor_rows(learner):
        snapshot.apply_neighbors(row)
    for weights in item_weight_rows(fitted_version(version, learner)):
        snapshot.apply_weights(weights)
    snapshot.refresh()


def neighbor_rows(learner: Learner) -> Iterator[ItemNeighbors]:
    """Yield the links of all items, as the links role publishes them."""
    catalog = learner.catalog
    for index, item_id in enumerate(catalog.items.names):
        others, sums = catalog.neighbors.links.row(index)
        yield ItemNeighbors(
            item_id=item_id,
            neighbors=[catalog.items.names[other] for other in others.tolist()],
            scores=sums[TOGETHER].tolist(),
            follows=sums[NEXT].tolist(),
            mass=catalog.neighbors.links.event_count(index),
            reference=catalog.neighbors.reference_ms or 0,
            watermark=catalog.watermark,
        )
