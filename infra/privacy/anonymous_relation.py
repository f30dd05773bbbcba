"""Relations without names: pseudonyms in place of ids, and no column that could name a person or a small group.

Of rows of users only columns that are listed here are kept, so that a column that is added later is left out until
somebody has thought about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from infra.analytics.relation import Relation
from infra.error import OperatorError
from infra.privacy.pseudonyms import Pseudonyms

USER_COLUMN, SEGMENT_COLUMNS = "user_id", ("segment", "user_segment")
IDS = (USER_COLUMN, "event_id", "session_id", "request_id", "outcome_id", "notification_id")
"""Columns of ids, which become pseudonyms; clients may make them of anything."""
KEPT = frozenset(
    [
        *("item_id", "items", "item_ids", "category", "categories", "topics", "muted", "preferred", "recent", "visits"),
        *("action", "value", "weight", "is_positive", "is_click", "kind", "status", "surface", "position", "place"),
        *("number", "source", "sources", "model", "policy", "propensity", "propensities", "scores", "rank", "share"),
        *("clicks", "likes", "dislikes", "skips", "conversions", "dwell_ms", "is_reported", "arms"),
        *("occurred_at", "appended_at", "generated_at", "acted_at", "opened_at", "shown_at", "closed_at", "decided_at"),
        *("watermark", "version", "features_version", "event_count", "counts", "hours", "weights"),
        *("item_trending", "item_popularity", "item_rating_sum", "item_rating_count", "item_counts"),
        *("user_event_count", "user_categories", "user_topics", "user_sources", "user_counts", "user_hours"),
        *("user_muted", "user_preferred", "user_recent", "user_visits", "user_watermark", "user_version"),
    ]
)
"""Columns of rows of users that are kept as they are. Texts, places, time zones, devices and raw records are not."""
_COUNTS = ("users", "returning_users", "cohort_users")
"""Columns of rows of groups with the number of their users."""
_RAW = {"dead-letters", "dead_letters"}
"""Relations of raw messages, which may hold anything."""


def anonymous_relation(
    relation: Relation, pseudonyms: Pseudonyms, *, users_by_segment: Mapping[str, int], k: int
) -> Relation:
    """Return a relation without names.

    Args:
        relation: The relation.
        pseudonyms: The pseudonyms of ids.
        users_by_segment: Numbers of users by segment; smaller segments become empty.
        k: Smallest number of users of a group.

    Raises:
        OperatorError: it holds raw messages.
    """
    if relation.name in _RAW:
        raise OperatorError(f"{relation.name} holds raw messages, with names.", "Export it without --pseudonymous.")
    names = relation.schema.names
    if USER_COLUMN in names:
        safe_names = [name for name in names if name in KEPT or name in IDS or name in SEGMENT_COLUMNS]
        shown_segments = [segment for segment, users in users_by_segment.items() if users >= k]
        return _each(relation.select(safe_names), lambda batch: _renamed(batch, pseudonyms, shown_segments))
    if "segments" in names:  # sums by segment, of which nobody knows the number of users
        relation = relation.select([name for name in names if name != "segments"])
    counts = [name for name in _COUNTS if name in names]
    return _each(relation, lambda batch: _large_groups(batch, counts, k)) if counts else relation


def segment_column(relation: Relation) -> str | None:
    """Return the column with the segments of users; None if there is none."""
    names = relation.schema.names
    return next((name for name in SEGMENT_COLUMNS if name in names), None) if USER_COLUMN in names else None


def _each(relation: Relation, change: Callable[[pa.RecordBatch], pa.RecordBatch]) -> Relation:
    return replace(relation, batches=(change(batch) async for batch in relation.batches))


def _renamed(batch: pa.RecordBatch, pseudonyms: Pseudonyms, shown_segments: list[str]) -> pa.RecordBatch:
    columns = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if field.name in IDS:
            ids = [None if name is None else pseudonyms.of(field.name, name) for name in column.to_pylist()]
            columns.append(pa.array(ids, field.type))
        elif field.name in SEGMENT_COLUMNS:
            is_shown = pc.is_in(column, pa.array(shown_segments, column.type))
            columns.append(pc.if_else(is_shown, column, pa.scalar("", column.type)))
        else:
            columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _large_groups(batch: pa.RecordBatch, counts: list[str], k: int) -> pa.RecordBatch:
    for name in counts:
        batch = batch.filter(pc.greater_equal(batch.column(name), k))
    return batch
