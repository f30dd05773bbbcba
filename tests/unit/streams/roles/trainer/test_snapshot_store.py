from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from infra.settings import Settings
from streams.core.learning.learner import LearnerParams
from streams.core.position import Position
from streams.core.ranking.pipeline import MODEL
from streams.roles.trainer.learner_params import learner_params
from streams.roles.trainer.online_learner import OnlineLearner, new_learner
from streams.roles.trainer.snapshot_store import KEPT, SnapshotStore, packed
from tests.build import a_choice, an_interaction
from tests.unit.streams.builder import PARAMS

INTERACTIONS_0 = TopicPartition("interactions.v1", 0)


def a_store(home: Path, *, params: LearnerParams = PARAMS, source: str = "cluster interactions.v1=A") -> SnapshotStore:
    return SnapshotStore(home, params=params, source=source)


def put(store: SnapshotStore, offset: int) -> None:
    store.put(packed({"offset": offset}, {INTERACTIONS_0: offset}))


def files(home: Path) -> list[Path]:
    return sorted((home / "models" / MODEL / "snapshots").iterdir())


def offsets(store: SnapshotStore) -> list[int]:
    return [snapshot.offsets[INTERACTIONS_0] for snapshot in store.newest()]


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    """A store with snapshots at the offsets 1 to 3, of which it keeps two."""
    store = a_store(tmp_path)
    for offset in (1, 2, 3):
        put(store, offset)
    assert len(files(tmp_path)) == KEPT
    return store


def test_the_newest_snapshots_are_kept_and_come_newest_first(store: SnapshotStore) -> None:
    newest, before = store.newest()
    assert (newest.offsets, newest.state) == ({INTERACTIONS_0: 3}, {"offset": 3})
    assert before.state == {"offset": 2}


@pytest.mark.parametrize("damage", ["a changed byte", "cut off", "empty"])
def test_a_damaged_snapshot_gives_way_to_the_one_before(
    store: SnapshotStore, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    newest = files(tmp_path)[-1]
    data = bytearray(newest.read_bytes())
    data[-3] ^= 1
    newest.write_bytes({"a changed byte": bytes(data), "cut off": bytes(data[:-10]), "empty": b""}[damage])
    with caplog.at_level(logging.WARNING):
        assert offsets(store) == [2]
    assert str(newest) in caplog.text


def test_a_file_left_by_a_killed_writer_is_no_snapshot_and_goes_with_the_next_one(
    store: SnapshotStore, tmp_path: Path
) -> None:
    rest = files(tmp_path)[-1].parent / ".20260101T000000.000Z.safetensors.x1"
    rest.write_bytes(b"half of it")
    assert offsets(store) == [3, 2]
    put(store, 4)
    assert not rest.exists()
    assert offsets(store) == [4, 3]


@pytest.mark.parametrize(
    ("settings", "is_used"),
    [
        ({"affinity_half_life_days": 3.0}, False),
        ({"rating_scale": 10.0}, False),
        ({"trending_decay_rate": 0.5}, False),
        ({"cooccurrence_half_life_days": 9.0}, False),
        ({"max_recommendations": 7, "diversity_cap": 0.9, "trigger_window_s": 1.0, "trainer_users": 5}, True),
    ],
)
def test_a_snapshot_of_other_parameters_is_refused_if_they_change_what_is_learned(
    store: SnapshotStore, tmp_path: Path, settings: dict[str, float], is_used: bool, caplog: pytest.LogCaptureFixture
) -> None:
    params = learner_params(replace(Settings(), **settings))  # type: ignore[arg-type]
    assert offsets(a_store(tmp_path, params=params)) == ([3, 2] if is_used else [])
    assert is_used or "it is of other parameters" in caplog.text


def test_a_snapshot_of_other_topics_is_refused(
    store: SnapshotStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert offsets(a_store(tmp_path, source="cluster interactions.v1=B")) == []
    assert "it is of other topics" in caplog.text


def test_a_home_without_snapshots_has_none(tmp_path: Path) -> None:
    assert offsets(a_store(tmp_path)) == []


def test_an_online_learner_continues_with_what_it_has_not_published(tmp_path: Path) -> None:
    online = OnlineLearner(new_learner(PARAMS))
    for number in range(30):
        event = an_interaction(item_id=f"i{number % 9}", occurred_at=1_000 * number)
        online.apply(event, Position(0, number, number + 1))
        online.apply(a_choice(item_id=f"i{number % 9}"), Position(0, number, number + 1))
    store = a_store(tmp_path)
    store.put(packed(online.state(), {}))
    successor = OnlineLearner(new_learner(PARAMS))
    (snapshot,) = store.newest()
    successor.restore(snapshot.state)
    assert successor.version == online.version
    assert successor.has_unpublished == online.has_unpublished
    assert successor.weights(0) == online.weights(0)
    assert not successor.has_unpublished


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    online = OnlineLearner(new_learner(PARAMS))
    online.apply(an_interaction(), Position(0, 0, 1))
    learner, state = online.learner, OnlineLearner(new_learner(PARAMS)).state()
    del state["learner"]["weights"]
    with pytest.raises(KeyError):
        online.restore(state)
    assert (online.learner, online.learner.events) == (learner, 1)
