"""The fold of history: what is folded, and when weights take effect."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from evaluation.history.history_fold import HistoryFold
from evaluation.history.label_history import LabelHistory
from infra.kafka.partition import partition_of
from infra.settings import Settings
from schemas.types import UserWeights
from streams.core.item import item_stats
from streams.core.item.item_stats import ItemState
from streams.core.position import Position
from streams.core.user import user_state
from streams.core.user.user_state import UserState
from streams.runtime.core_params import signal_params, user_params
from tests.build import T0_MS, a_profile, a_trigger, an_interaction, an_item
from topics.topic import PARTITIONS

USER, SIGNAL = user_params(Settings()), signal_params(Settings())


@dataclass(frozen=True)
class Message:
    """A record as the fold sees it."""

    key: bytes
    offset: int
    partition: int
    timestamp: int
    headers: tuple[tuple[str, bytes | None], ...] = ()


def a_message(offset: int, *, user_id: str = "u1", partition: int | None = None) -> Any:
    own = partition_of(user_id.encode(), PARTITIONS)
    return Message(user_id.encode(), offset, own if partition is None else partition, T0_MS + 1_000 * offset)


def a_fold() -> HistoryFold:
    labels = LabelHistory()
    labels.add(an_item("i1", category="jazz"), T0_MS)
    return HistoryFold(labels, USER, SIGNAL)


def test_repeats_and_records_of_another_partition_change_nothing() -> None:
    fold, event = a_fold(), an_interaction(event_id="e1")
    assert fold.apply(a_message(0), event)
    features = fold.features("u1")
    assert not fold.apply(a_message(0), event)
    assert not fold.apply(a_message(1), event)
    stray = (partition_of(b"u1", PARTITIONS) + 1) % PARTITIONS
    assert not fold.apply(a_message(2, partition=stray), an_interaction())
    assert not fold.apply(a_message(3), an_interaction(action="rate", value=1e9))  # a dead letter
    later = fold.features("u1")
    assert replace(later, interactions_offset=features.interactions_offset) == features
    assert features.categories == {"jazz": 1.0}


def test_weights_take_effect_with_the_next_change() -> None:
    fold = a_fold()
    fold.apply(a_message(0), an_interaction())
    assert not fold.apply(a_message(1), UserWeights(user_id="u1", weights={"popular": 0.5}, watermark=T0_MS))
    assert fold.features("u1").weights == {}
    assert fold.apply(a_message(2), a_trigger())
    assert fold.features("u1").weights == {"popular": 0.5}


def test_a_profile_is_stated_and_forgotten() -> None:
    fold = a_fold()
    assert fold.apply(a_message(0), a_profile(muted=["jazz"]))
    assert fold.features("u1").muted == ["jazz"]
    assert fold.apply(a_message(9), None)
    assert fold.features("u1").muted == []


def test_statistics_are_those_of_signals_folded_one_by_one() -> None:
    fold, state, users = a_fold(), ItemState("i1"), dict[str, UserState]()
    random_numbers = random.Random(7)
    for offset in range(500):
        user_id = f"u{random_numbers.randrange(20)}"
        event = an_interaction(user_id=user_id, event_id=str(offset), occurred_at=T0_MS + 60_000 * offset)
        record = a_message(offset, user_id=user_id)
        fold.apply(record, event)
        signal = user_state.fold(
            users.setdefault(user_id, UserState(user_id)),
            event,
            Position.of(record),
            subject=fold._labels.labels("i1", record.timestamp),  # type: ignore[arg-type]
            params=USER,
        )
        assert signal is not None
        item_stats.fold(state, item_stats.to_record([signal]), params=SIGNAL)
    expected, stats = item_stats.stats(state), fold.stats("i1")
    assert (stats.counts, stats.watermark, stats.first_at) == (expected.counts, expected.watermark, expected.first_at)
    assert (stats.popularity, stats.trending) == pytest.approx((expected.popularity, expected.trending))
    assert stats.hours == pytest.approx(expected.hours)
    assert [one.item_id for one in fold.all_stats()] == ["i1"]
