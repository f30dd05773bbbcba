"""Limits of the records of what is learned: statistics, links, embeddings, weights, and the features of users."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from schemas.limit import (
    LINE_CHARS,
    RATING_MAX,
    TEXT_CHARS,
    VALUE_MAX,
    OutOfRangeError,
    check_free_text,
    check_id,
    check_ids,
    check_lines,
    check_number,
    check_numbers,
    check_size,
    check_time,
)
from schemas.types import (
    Choice,
    EncoderVector,
    EncoderVersion,
    Features,
    ItemEmbedding,
    ItemNeighbors,
    ItemSignals,
    ItemStats,
    ItemWeights,
    LinkUpdates,
    ModelVersion,
    UserWeights,
    Visits,
)

_PARTITIONS_MAX = 1_000
"""An upper bound on the partitions of a topic."""
_OFFSET_MAX = (1 << 63) - 1
EVENT_BYTES, OUTGOING_BYTES, INCOMING_BYTES = 37, 3, 5
"""Bytes of an entry in the columns of link updates."""
_NUMBERED_MAX = 1 << 16
"""Items that a number of two bytes can name."""
_WEIGHT_MAX = 1e3
_SUM_MAX = 1e20
"""An upper bound on sums over events."""
_LOG_MAX = 1e12
"""An upper bound on the logarithm of decayed sums."""
_EMPTY_LOG = -math.inf
"""The logarithm of an empty sum."""
_HALF_BYTES = 2
"""Bytes of a half-precision float."""
PARAMETER_BYTES = 900 << 10
"""The most bytes of the parameters of a user encoder."""


def _signals(signals: ItemSignals, now_ms: int) -> None:
    check_id("item_id", signals.item_id)
    count = len(signals.source_offsets)
    for name in ("source_timestamps", "occurred_at", "actions", "weights", "ratings", "segments", "nths"):
        if len(getattr(signals, name)) != count:
            raise OutOfRangeError(name, f"must have {count} values, as many as source_offsets")
    if len(signals.evidence) not in (0, count):
        raise OutOfRangeError("evidence", f"must have {count} values, as many as source_offsets, or none")
    check_numbers("evidence", signals.evidence, -1.0, 1.0)
    check_number("source_partition", signals.source_partition, 0, _PARTITIONS_MAX)
    check_free_text("segments", max(signals.segments, key=len, default=""), LINE_CHARS)
    for weight in signals.weights:
        check_number("weights", weight, -VALUE_MAX, VALUE_MAX)
    for rating in signals.ratings:
        check_number("ratings", 0.0 if rating is None else rating, 0.0, RATING_MAX)
    for occurred_at in (min(signals.occurred_at, default=0), max(signals.occurred_at, default=0)):
        check_time("occurred_at", occurred_at, now_ms)


def _item_stats(stats: ItemStats, now_ms: int) -> None:
    check_id("item_id", stats.item_id)
    for name in ("trending", "popularity"):
        if getattr(stats, name) != _EMPTY_LOG:
            check_number(name, getattr(stats, name), -_LOG_MAX, _LOG_MAX)
    for name in ("segments", "horizons", "cohorts"):
        check_size(name, getattr(stats, name))
        check_numbers(name, getattr(stats, name), -_LOG_MAX, _LOG_MAX, besides=_EMPTY_LOG)
    check_size("counts", stats.counts)
    check_numbers("counts", stats.counts, 0, _SUM_MAX)
    for name in ("hours", "weekdays"):
        check_size(name, getattr(stats, name))
        check_numbers(name, getattr(stats, name), 0, _SUM_MAX)
    check_number("rating_sum", stats.rating_sum, -_SUM_MAX, _SUM_MAX)
    check_number("rating_count", stats.rating_count, 0, _SUM_MAX)
    for name in ("evidence_for", "evidence_against"):
        check_number(name, getattr(stats, name) or 0.0, 0, _SUM_MAX)
    check_number("releases", stats.releases, 0, _SUM_MAX)
    for name in ("choice_sums", "segment_sums"):
        check_size(name, getattr(stats, name))
        check_numbers(name, getattr(stats, name), -_SUM_MAX, _SUM_MAX)
    check_time("first_at", stats.first_at, now_ms)
    check_time("watermark", stats.watermark, now_ms)


def _item_neighbors(row: ItemNeighbors, now_ms: int) -> None:
    check_id("item_id", row.item_id)
    _columns(row, "neighbors", "scores")
    if row.follows:
        _columns(row, "neighbors", "follows")
    check_numbers("scores", row.scores, 0.0, _SUM_MAX)
    check_numbers("follows", row.follows, 0.0, _SUM_MAX)
    check_number("mass", row.mass, 0.0, _SUM_MAX)
    check_number("updates_offset", row.updates_offset, 0, _OFFSET_MAX)
    check_time("reference", row.reference, now_ms)
    check_time("watermark", row.watermark, now_ms)


def _item_embedding(row: ItemEmbedding, now_ms: int) -> None:
    check_id("item_id", row.item_id)
    check_lines(row, "space")
    check_number("bias", row.bias, -VALUE_MAX, VALUE_MAX)
    if not row.vector or len(row.vector) % _HALF_BYTES:
        raise OutOfRangeError("vector", "must have half-precision floats")
    check_time("watermark", row.watermark, now_ms)
    check_number("event_count", row.event_count, 0, _OFFSET_MAX)


def _encoder_vector(row: EncoderVector, now_ms: int) -> None:
    check_id("item_id", row.item_id)
    check_lines(row, "space")
    if not row.vector or len(row.vector) % _HALF_BYTES:
        raise OutOfRangeError("vector", "must have half-precision floats")


def _encoder_version(version: EncoderVersion, now_ms: int) -> None:
    check_id("model", version.model)
    check_lines(version, "version", "status")
    check_free_text("reason", version.reason, 4 * TEXT_CHARS)
    check_numbers("metrics", version.metrics, 0.0, VALUE_MAX)
    check_number("items", version.items, 0, _SUM_MAX)
    if len(version.parameters) > PARAMETER_BYTES:
        raise OutOfRangeError("parameters", f"must have at most {PARAMETER_BYTES:,} bytes")
    check_time("created_at", version.created_at, now_ms)
    check_time("watermark", version.watermark, now_ms)


def _link_updates(updates: LinkUpdates, now_ms: int) -> None:
    check_id("item_id", updates.item_id)
    check_number("source_partition", updates.source_partition, 0, _PARTITIONS_MAX)
    check_number("the number of items", len(updates.items), 1, _NUMBERED_MAX)
    for name, size in (("events", EVENT_BYTES), ("outgoing", OUTGOING_BYTES), ("incoming", INCOMING_BYTES)):
        if len(getattr(updates, name)) % size:
            raise OutOfRangeError(name, f"must have a multiple of {size} bytes")


def _visits(visits: Visits, now_ms: int) -> None:
    check_id("source", visits.source)
    check_number("source_partition", visits.source_partition, 0, _PARTITIONS_MAX)
    for column in ("source_timestamps", "categories", "returns"):
        _columns(visits, "source_offsets", column)


def _item_weights(row: ItemWeights, now_ms: int) -> None:
    check_id("item_id", row.item_id)
    _columns(row, "others", "weights")
    check_numbers("weights", row.weights, -VALUE_MAX, VALUE_MAX)


def _model_version(version: ModelVersion, now_ms: int) -> None:
    check_id("model", version.model)
    check_lines(version, "version")
    check_free_text("reason", version.reason, 4 * TEXT_CHARS)
    check_ids("parts", version.parts)
    check_numbers("weights", version.weights, -_WEIGHT_MAX, _WEIGHT_MAX)
    check_numbers("squares", version.squares, 0.0, _SUM_MAX)
    check_numbers("scales", version.scales, 0.0, _SUM_MAX)
    check_numbers("leads", version.leads, -_SUM_MAX, _SUM_MAX)
    check_numbers("lead_squares", version.lead_squares, 0.0, _SUM_MAX)
    check_number("judged", version.judged, 0.0, _SUM_MAX)
    check_numbers("repeat_rates", version.repeat_rates, 0.0, 1.0)
    check_numbers("repeat_visits", version.repeat_visits, 0.0, _SUM_MAX)
    check_time("created_at", version.created_at, now_ms)
    check_time("watermark", version.watermark, now_ms)


def _features(features: Features, now_ms: int) -> None:
    check_id("user_id", features.user_id)
    for name in ("categories", "topics", "sources"):
        check_numbers(name, getattr(features, name), -1e12, 1e12)
    for situation, affinities in features.situation_affinities.items():
        check_numbers(f"situation_affinities[{situation}]", affinities, -1e12, 1e12)


def _user_weights(own: UserWeights, now_ms: int) -> None:
    check_id("user_id", own.user_id)
    check_ids("weights", own.weights)
    check_numbers("weights", own.weights, -_WEIGHT_MAX, _WEIGHT_MAX)
    check_time("watermark", own.watermark, now_ms)


def _choice(choice: Choice, now_ms: int) -> None:
    for name in ("user_id", "event_id", "item_id"):
        check_id(name, getattr(choice, name))
    check_ids("items", choice.items)
    check_ids("features", choice.features)
    check_number("share", choice.share, 0.0, 1.0)
    for name in ("occurred_at", "opened_at", "generated_at"):
        check_time(name, getattr(choice, name), now_ms)
    if choice.item_id not in choice.items:
        raise OutOfRangeError("items", "must contain item_id")
    size = _HALF_BYTES * len(choice.features) * len(choice.items)
    if len(choice.values) != size:
        raise OutOfRangeError("values", f"must have {size} bytes, two for each feature of each item")


def _columns(record: Any, names: str, values: str) -> None:
    """Reject columns of different lengths."""
    count = len(getattr(record, names))
    if len(getattr(record, values)) != count:
        raise OutOfRangeError(values, f"must have {count} values, as many as {names}")


RULES: Mapping[type, Callable[[Any, int], None]] = MappingProxyType(
    {
        ItemSignals: _signals,
        ItemStats: _item_stats,
        ItemNeighbors: _item_neighbors,
        ItemEmbedding: _item_embedding,
        EncoderVector: _encoder_vector,
        EncoderVersion: _encoder_version,
        LinkUpdates: _link_updates,
        Visits: _visits,
        ItemWeights: _item_weights,
        ModelVersion: _model_version,
        Features: _features,
        UserWeights: _user_weights,
        Choice: _choice,
    }
)
"""The rule of each record."""
