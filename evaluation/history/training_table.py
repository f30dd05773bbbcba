"""Training table: interactions with the features of their users and items as they were before each of them.

Features are folded from the topics in the order in which the broker received the events, which is the order in which
the system learned of them. A late event changes the features of later rows only, whatever its own time is, and a repeat
is no row.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec
import pyarrow as pa
from aiokafka import ConsumerRecord

from evaluation.history.history_fold import EventHistory, HistoryEvent, HistoryFold
from infra.analytics.arrow_schema import TIME, arrow_schema
from infra.analytics.relation import ALWAYS, Relation, TimeSpan
from infra.kafka.readers.record_window import WindowReader
from infra.kafka.registry import Registry
from infra.settings import Settings
from models import decay
from models.weight import event_weight, is_positive
from schemas.types import Features, Interaction
from streams.core.params import SignalParams
from streams.runtime.core_params import signal_params, user_params

TRAINING = "training"
_LEFT_OUT = {"user_id", "seen", "embedding", "embedding_space"}
"""Features without a column: the user has one already, the items seen are the rows before, and a fold of the history
makes no embeddings."""
_USER = "user_"
_ROWS = 5_000
_EVENT = [name for name in Interaction.__struct_fields__ if name != "context"]
_OUTCOME = pa.schema(
    [
        *(arrow_schema(Interaction).field(name) for name in _EVENT),
        pa.field("appended_at", TIME, nullable=False),
        pa.field("weight", pa.float64(), nullable=False),
        pa.field("is_positive", pa.bool_(), nullable=False),
    ]
)
_FEATURES = [field for field in arrow_schema(Features) if field.name not in _LEFT_OUT]
_ITEM = pa.schema(
    [
        pa.field("item_trending", pa.float64(), nullable=False),
        pa.field("item_popularity", pa.float64(), nullable=False),
        pa.field("item_rating_sum", pa.float64(), nullable=False),
        pa.field("item_rating_count", pa.int64(), nullable=False),
        pa.field("item_counts", pa.map_(pa.string(), pa.int64()), nullable=False),
    ]
)
SCHEMA = pa.schema([*_OUTCOME, *(field.with_name(_USER + field.name) for field in _FEATURES), *_ITEM])


async def training_relation(
    settings: Settings, registry: Registry, reader: WindowReader, *, span: TimeSpan, user_id: str | None
) -> Relation:
    """Return the training table. All events up to the end of the span are folded, whichever rows are asked for.

    Args:
        settings: The settings of the workers.
        registry: Decodes the records.
        reader: Reads the topics.
        span: Append times of the rows.
        user_id: The user whose rows to return; by default those of all.
    """
    history = EventHistory(registry, reader)
    signals = signal_params(settings)
    fold = HistoryFold(await history.labels(), user_params(settings), signals)

    async def batches() -> AsyncIterator[pa.RecordBatch]:
        rows: list[dict[str, Any]] = []
        async for events in history.events(until_ms=span.until_ms):
            rows += training_rows(fold, events, signals, span=span, user_id=user_id)
            if len(rows) >= _ROWS:
                yield pa.RecordBatch.from_pylist(rows, SCHEMA)
                rows = []
        if rows:
            yield pa.RecordBatch.from_pylist(rows, SCHEMA)

    return Relation(TRAINING, SCHEMA, batches())


def training_rows(
    fold: HistoryFold,
    events: Iterable[HistoryEvent],
    signals: SignalParams,
    *,
    span: TimeSpan = ALWAYS,
    user_id: str | None = None,
) -> list[dict[str, Any]]:
    """Fold events, and return the rows of those that are folded for the first time.

    Args:
        fold: The states before the events.
        events: The events, in their order.
        signals: Parameters of the decay of item statistics.
        span: Append times of the rows.
        user_id: The user whose rows to return; by default those of all.
    """
    rows = []
    for record, value in events:
        row = _row(record, value, fold, signals) if _is_row(record, value, span, user_id) else None
        if fold.apply(record, value) and row is not None:
            rows.append(row)
    return rows


def _is_row(record: ConsumerRecord, value: Any, span: TimeSpan, user_id: str | None) -> bool:
    return (
        isinstance(value, Interaction)
        and value.item_id is not None
        and user_id in (None, value.user_id)
        and record.timestamp >= (span.from_ms or 0)
    )


def _row(record: ConsumerRecord, event: Interaction, fold: HistoryFold, signals: SignalParams) -> dict[str, Any]:
    """Return the row of an event that has not been folded yet, as plain values of its own."""
    weight = event_weight(event, fold.rating_scale)
    features, stats = fold.features(event.user_id), fold.stats(str(event.item_id))
    row = {name: getattr(event, name) for name in _EVENT}
    row |= {"appended_at": record.timestamp, "weight": weight, "is_positive": is_positive(weight)}
    row |= {_USER + name: value for name, value in msgspec.to_builtins(features).items() if name not in _LEFT_OUT}
    return row | {
        "item_trending": decay.as_of(stats.trending, at_ms=record.timestamp, rate=signals.trending_rate),
        "item_popularity": decay.as_of(stats.popularity, at_ms=record.timestamp, rate=signals.popularity_rate),
        "item_rating_sum": stats.rating_sum,
        "item_rating_count": stats.rating_count,
        "item_counts": dict(stats.counts),
    }
