"""A learner that continues from a snapshot learns exactly as one that never stopped."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from domain.state import Stateful
from models import artifact
from models.artifact import Header
from schemas.types import Interaction, Item
from streams.core.item.item_stats import ItemState
from streams.core.learning.learner import Learner, LearnerParams
from streams.core.learning.packed_states import PackedStates
from streams.core.learning.snapshot import pack, unpack
from streams.core.position import Position
from streams.core.user.user_state import UserState
from tests.build import T0_MS, a_profile, an_interaction, an_item
from tests.unit.streams.builder import PARAMS

EVENTS, USERS, ITEM_COUNT = 400, 25, 60
CITIES = ("Berlin", "Paris", None)
NOT_STATE = {
    "CatalogSnapshot": {
        "labels_by_item",
        "charts",
        "_leaders",
        "_exact_items",
        "_listing",
        "columns",
        "_half_life_days",
        "encoder",  # of fits and evaluations, and of workers, which have no snapshots
    },
    "Vocabulary": {"names", "_index"},
    "SparseLinks": {"_kernels", "_limits", "_links", "_damping", "_arrivals"},
    "DecayedCooccurrence": {"_half_life_ms"},
    "ItemItemMatrix": {"_most", "_weights", "_gather_indices"},
    "ContentIndex": {"_nearest"},
    "ItemTypeIndex": {"_numbers", "_categories", "_pairs", "_columns"},
    "AnnIndex": {"_graph", "_quantize", "_width"},
    "ItemEmbeddings": {"config", "_names", "_discounts"},
    "EmbeddingIndex": {"_embeddings"},
    "PersonalWeights": {"blender", "_zero", "_offsets", "_changed_users"},
    "Learner": {
        *("params", "refits_item_weights", "_learns_links", "on_outcome", "item_weights", "_encoder"),
        *("_groups", "_log", "_fit_due"),  # of one timestamp group, and of fits, which the trainer does not make online
    },
    "PackedStates": {
        *("_encode", "_decode", "_most_objects", "_most", "_on_drop", "_objects", "_data"),
    },
}
"""Attributes outside `STATE`: parameters, caches, and what `state` of the class returns in another form."""


def items() -> Iterator[Item]:
    for number in range(ITEM_COUNT):
        yield an_item(
            f"i{number}", category=f"c{number % 4}", topics=[f"t{number % 7}", f"t{number % 3}"],
            created_at=T0_MS - number, city=CITIES[number % 3], title=f"Title {number}",
        )  # fmt: skip


def events() -> Iterator[Interaction]:
    """Yield views, likes and ratings at distinct times, with returns, unlisted items and returning users."""
    draw = random.Random(3)
    for number in range(EVENTS):
        action = draw.choice(["view", "click", "click", "like", "skip", "rate", "purchase"])
        yield an_interaction(
            event_id=f"e{number}", user_id=f"u{draw.randrange(USERS)}", item_id=f"i{draw.randrange(ITEM_COUNT + 5)}",
            action=action, value=float(draw.randint(1, 5)) if action == "rate" else None,
            occurred_at=T0_MS + 37_000 * number,
        )  # fmt: skip


def a_learner(params: LearnerParams = PARAMS) -> Learner:
    return Learner(params, refits_item_weights=False)


def taught(learner: Learner, start: int, end: int) -> Learner:
    """Have a learner learn some of the records."""
    if not start:
        for item in items():
            learner.catalog.apply_item(item)
        for user in range(0, USERS, 2):
            learner.profile(a_profile(user_id=f"u{user}", segment="f-25"), Position(0, user, T0_MS))
        learner.catalog.item_weights.fill(np.arange(20, dtype=np.int32), np.random.default_rng(0).random((20, 20)))
        learner.catalog.refresh()
    for number, event in enumerate(events()):
        if start <= number < end:
            learner.learn(event, Position(number % 3, number, T0_MS + number))
            if number == EVENTS // 2:
                learner.catalog.remove_item("i3")
            if number % 50 == 20:
                learner.weights.drain(3)
    return learner


def through_a_file(learner: Learner, path: Path, params: LearnerParams = PARAMS) -> Learner:
    """Return a learner that continues from the state of another, as a file holds it."""
    artifact.save(path, Header(model="m", version="v", created_at_ms=0), pack(learner.state()))
    successor = a_learner(params)
    successor.restore(unpack(artifact.load(path)[1]))
    return successor


def same(one: Any, other: Any, path: str = "") -> list[str]:
    """Return where two states differ; states of users and items are compared by value."""
    if isinstance(one, dict) and "lengths" in one and "states" in one:
        kind = ItemState if path.endswith("_items") else UserState
        return same(decoded(one, kind), decoded(other, kind), path)
    if isinstance(one, dict):
        keys = [] if list(one) == list(other) else [f"{path}: keys"]
        shared_keys = [key for key in one if key in other]
        return keys + [place for key in shared_keys for place in same(one[key], other[key], f"{path}/{key}")]
    if isinstance(one, np.ndarray):
        alike = one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        return [] if alike else [path]
    if isinstance(one, (list, tuple)):
        return [] if msgspec.msgpack.encode(one) == msgspec.msgpack.encode(other) else [path]
    return [] if one == other or sorted(one) == sorted(other) else [path]


def decoded(state: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    states = PackedStates(kind)
    states.restore(state)
    return {key: [states.get(key)] for key in state["keys"]}


def candidates_of(learner: Learner) -> list[Any]:
    """Return all that the ranking of each user at the end depends on."""
    results = []
    for user in range(USERS + 1):
        candidates = learner.candidates(f"u{user}", T0_MS + 37_000 * EVENTS)
        values = candidates.features.weighted_sum(learner.blender.weights(candidates.query.context).astype(np.float32))
        every = [block.tobytes() for _, block in candidates.features.blocks]
        results.append((candidates.items.tolist(), candidates.is_admissible.tolist(), values.tolist(), every))
    return results


@pytest.mark.parametrize("at", [0, 1, 150, 333, EVENTS])
def test_a_restored_learner_learns_what_one_learns_that_never_stopped(at: int, tmp_path: Path) -> None:
    straight = taught(a_learner(), 0, EVENTS)
    successor = through_a_file(taught(a_learner(), 0, at), tmp_path / "snapshot")
    taught(successor, at, EVENTS) if at else taught(successor, 0, EVENTS)
    assert straight.blender.outcomes > 50
    assert straight.repeats.state()["_visits"]
    assert same(unpack(pack(straight.state())), unpack(pack(successor.state()))) == []
    assert candidates_of(straight) == candidates_of(successor)


def test_a_snapshot_does_not_change_with_its_learner() -> None:
    learner = taught(a_learner(), 0, 200)
    arrays = pack(learner.state())
    before = {name: array.tobytes() for name, array in arrays.items()}
    taught(learner, 200, EVENTS)
    assert {name: array.tobytes() for name, array in arrays.items()} == before


def test_users_beyond_the_bound_are_dropped_with_their_weights_and_alike_after_a_restart(tmp_path: Path) -> None:
    params = replace(PARAMS, max_users=5)
    straight = taught(a_learner(params), 0, EVENTS)
    successor = taught(through_a_file(taught(a_learner(params), 0, 210), tmp_path / "snapshot", params), 210, EVENTS)
    state = unpack(pack(straight.state()))
    active: dict[str, None] = {}
    for event in events():
        active.pop(event.user_id, None)
        active[event.user_id] = None
    assert state["_users"]["keys"] == list(active)[-5:]
    assert set(state["weights"]["users"]) <= set(active)
    assert len(state["weights"]["users"]) <= 5
    assert same(state, unpack(pack(successor.state()))) == []


def test_every_attribute_is_state_or_known_to_be_none() -> None:
    learner = taught(a_learner(), 0, 50)
    parts: list[Any] = [learner]
    for part in parts:
        held_by = vars(part)
        unknown = held_by.keys() - set(part.STATE) - NOT_STATE.get(type(part).__name__, set())
        assert not unknown, f"{type(part).__name__} has {unknown}, which no snapshot holds"
        parts += [value for value in held_by.values() if isinstance(value, Stateful)]
    assert {type(part).__name__ for part in parts} >= NOT_STATE.keys()


def test_a_value_that_is_not_plain_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="object is no plain value"):
        pack({"thing": object()})


def test_a_restored_learner_knows_which_items_the_catalogue_holds(tmp_path: Path) -> None:
    learner = taught(a_learner(), 0, EVENTS)
    catalog = through_a_file(learner, tmp_path / "snapshot").catalog
    assert catalog.listed_ids() == learner.catalog.listed_ids()
    assert {item.item_id for item in items()} - catalog.listed_ids() == {"i3"}, "it was removed"
