"""The training table knows nothing of the future, whatever the events' own times are."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from domain.timestamp import DAY_MS
from evaluation.history.training_table import SCHEMA, training_rows
from infra.analytics.relation import TimeSpan
from tests.build import T0_MS, an_interaction
from tests.unit.evaluation.history.test_history_fold import SIGNAL, a_fold, a_message

LATE, CORRECTED = 3, 5
"""Offsets of an event of the day before, and of a rating that corrects the one before it."""
EVENTS: list[tuple[Any, Any]] = [
    (a_message(0), an_interaction(event_id="e0", item_id="i1", occurred_at=T0_MS)),
    (a_message(1), an_interaction(event_id="e1", item_id="i2", action="like", occurred_at=T0_MS + 1_000)),
    (a_message(2, user_id="u2"), an_interaction(event_id="e2", user_id="u2", item_id="i1", occurred_at=T0_MS + 2_000)),
    (a_message(LATE), an_interaction(event_id="e3", item_id="i3", occurred_at=T0_MS - DAY_MS)),
    (a_message(4), an_interaction(event_id="e4", item_id="i4", action="rate", value=1.0, occurred_at=T0_MS + 4_000)),
    (a_message(CORRECTED), an_interaction(event_id="e5", item_id="i4", action="rate", value=5.0, occurred_at=T0_MS)),
    (a_message(6), an_interaction(event_id="e5", item_id="i4", action="rate", value=5.0, occurred_at=T0_MS)),
    (a_message(7), an_interaction(event_id="e7", action="search", item_id=None, query="jazz", occurred_at=T0_MS)),
    (a_message(8), an_interaction(event_id="e8", item_id="i1", occurred_at=T0_MS + 8_000)),
]


def test_a_row_is_that_of_a_table_that_ends_with_it() -> None:
    rows = training_rows(a_fold(), EVENTS, SIGNAL)
    assert [row["event_id"] for row in rows] == ["e0", "e1", "e2", "e3", "e4", "e5", "e8"]
    for count in range(1, len(EVENTS) + 1):
        known_rows = training_rows(a_fold(), EVENTS[:count], SIGNAL)
        assert known_rows == rows[: len(known_rows)]


def test_a_row_does_not_know_its_own_outcome() -> None:
    rows = {row["event_id"]: row for row in training_rows(a_fold(), EVENTS, SIGNAL)}
    assert (rows["e0"]["user_event_count"], rows["e0"]["user_recent"], rows["e0"]["item_counts"]) == (0, [], {})
    assert (rows["e2"]["user_event_count"], rows["e2"]["item_counts"]) == (0, {"click": 1})
    late, rating, correction = rows["e3"], rows["e4"], rows["e5"]
    assert [one["item_id"] for one in late["user_recent"]] == ["i2", "i1"]
    assert late["user_watermark"] > late["occurred_at"]
    assert [one["item_id"] for one in rating["user_recent"]] == ["i2", "i1", "i3"]  # by time, once it is known
    assert (rating["item_rating_count"], correction["item_rating_count"]) == (0, 1)
    assert (rating["is_positive"], correction["is_positive"]) == (False, True)
    assert rows["e8"]["user_queries"] == ["jazz"]
    assert rows["e8"]["item_counts"] == {"click": 2}


def test_rows_of_a_span_and_a_user_are_those_of_the_whole() -> None:
    rows = training_rows(a_fold(), EVENTS, SIGNAL)
    span = TimeSpan(from_ms=T0_MS + 2_000)
    assert training_rows(a_fold(), EVENTS, SIGNAL, span=span, user_id="u2") == [rows[2]]
    assert training_rows(a_fold(), EVENTS, SIGNAL, span=span) == rows[2:]
    assert pa.RecordBatch.from_pylist(rows, SCHEMA).num_rows == len(rows)
