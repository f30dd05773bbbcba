"""Model versions: records for the workers, and artifacts to restore."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.redis.stores.model_status import SERVING, Version
from models.artifact import Header
from models.blend.blender import Weights
from schemas.types import ItemWeights, ModelVersion
from streams.core.byte_budget import strongest
from streams.core.learning.learner import Learner
from streams.core.learning.repeats import RepeatRates
from streams.core.ranking.pipeline import MODEL

REFUSED_MODEL = f"{MODEL}/refused"
"""The key of refused versions, so that they do not replace the version in service on the compacted topic."""
ROW_BYTES = 768 << 10
"""Limit of the ids and weights in the row of one item, in bytes."""
_WEIGHT_BYTES = 12
"""Bytes of a weight and of the length prefix of its id."""


@dataclass(frozen=True, slots=True)
class FittedVersion:
    """A version with all data needed to serve it."""

    version: Version
    feature_names: list[str]
    blender: Mapping[str, Weights]
    items: list[str]
    """Ids of the items in the rows and columns of `item_weights`."""
    item_weights: NDArray[np.float32]
    """(items, items) the item weights."""
    item_item_model: str
    """The name of the model that provided them."""
    repeats: RepeatRates = field(default_factory=RepeatRates)
    """Its repeat rates; of a file only the categories that repeat."""
    offsets: Mapping[str, list[int]] = field(default_factory=dict)
    """The next offset of each partition of the topics learned from, by topic; a file has none."""


def fitted_version(
    version: Version, learner: Learner, *, offsets: Mapping[str, list[int]] = MappingProxyType({})
) -> FittedVersion:
    """Return the state of a learner as a version.

    Args:
        version: The version.
        learner: The learner.
        offsets: The offsets from which learning continues, by topic.
    """
    catalog = learner.catalog
    numbers, item_weights = catalog.item_weights.block()
    state = {name: array.copy() for name, array in learner.blender.state().items()}
    return FittedVersion(
        version,
        list(learner.blender.features),
        state,
        [catalog.items.names[n] for n in numbers.tolist()],
        item_weights.astype(np.float32),
        learner.item_weights.name,
        learner.repeats,
        offsets,
    )


def item_weight_rows(fitted_version: FittedVersion, *, omissions: Counter[str] | None = None) -> Iterator[ItemWeights]:
    """Yield the item weights of a version, one record per item.

    Args:
        fitted_version: The version.
        omissions: Counts the weights left out; a record that is too small for all holds the strongest.
    """
    items = np.array(fitted_version.items, object)
    for item_id, weights in zip(fitted_version.items, fitted_version.item_weights, strict=True):
        columns = np.flatnonzero(weights)
        selection = strongest(items[columns].tolist(), weights[columns].tolist(), ROW_BYTES, each=_WEIGHT_BYTES)
        if omissions is not None:
            omissions["weights"] += len(columns) - len(selection)
        columns = columns[selection]
        yield ItemWeights(
            item_id=item_id,
            model_version=fitted_version.version.version,
            others=items[columns].tolist(),
            weights=weights[columns].tolist(),
        )


def record(
    version: Version,
    feature_names: list[str],
    blender: Mapping[str, Weights],
    *,
    repeats: RepeatRates | None = None,
    offsets: Mapping[str, list[int]] = MappingProxyType({}),
) -> ModelVersion:
    """Return the record of a version, which workers serve or see as refused.

    Args:
        version: The version.
        feature_names: The names of the ranking features.
        blender: The state of its blender.
        repeats: Its repeat rates; by default of no category.
        offsets: The offsets from which learning continues, by topic; by default from what comes next.
    """
    repeats = repeats or RepeatRates()
    return ModelVersion(
        model=MODEL if version.status == SERVING else REFUSED_MODEL,
        version=version.version,
        created_at=version.created_at,
        watermark=version.watermark,
        status=version.status,
        reason=version.reason,
        events=version.events,
        metrics=version.metrics,
        parts=feature_names,
        weights=blender["table"].ravel().tolist(),
        squares=blender["squares"].ravel().tolist(),
        scales=blender["scales"].tolist(),
        leads=blender["leads"].tolist(),
        lead_squares=blender["lead_squares"].tolist(),
        judged=float(blender["judged"][0]),
        repeated_categories=sorted(repeats.categories),
        repeat_rates=dict(repeats.rates),
        repeat_visits=dict(repeats.visits),
        offsets=dict(offsets),
    )


def record_of(fitted_version: FittedVersion, version: Version | None = None) -> ModelVersion:
    """Return the record of a fitted version.

    Args:
        fitted_version: The version.
        version: Its description, if that has changed since the fit.
    """
    return record(
        version or fitted_version.version,
        fitted_version.feature_names,
        fitted_version.blender,
        repeats=fitted_version.repeats,
        offsets=fitted_version.offsets,
    )


def version_of(model_version: ModelVersion) -> Version:
    """Return the version of a record."""
    return Version(
        version=model_version.version,
        status=model_version.status,
        reason=model_version.reason,
        created_at=model_version.created_at,
        watermark=model_version.watermark,
        events=model_version.events,
        metrics=model_version.metrics,
    )


def to_artifact(fitted_version: FittedVersion) -> tuple[Header, dict[str, NDArray[Any]]]:
    """Return a version as the header and the arrays of a file."""
    version = fitted_version.version
    header = Header(
        model=MODEL,
        version=version.version,
        created_at_ms=version.created_at,
        metrics=version.metrics,
        settings={
            "status": version.status,
            "reason": version.reason,
            "events": version.events,
            "watermark": version.watermark,
            "full": version.full,
            "taste_model": fitted_version.item_item_model,
            "request_ids": "\n".join(version.request_ids),
        },
        names={
            "parts": fitted_version.feature_names,
            "items": fitted_version.items,
            "repeated_categories": sorted(fitted_version.repeats.categories),
        },
    )
    return header, {**fitted_version.blender, "tastes": fitted_version.item_weights}


def of_header(header: Header) -> Version:
    """Return the version of a file's header."""
    settings = header.settings
    return Version(
        version=header.version,
        status=str(settings.get("status", SERVING)),
        reason=str(settings.get("reason", "")),
        created_at=header.created_at_ms,
        watermark=int(settings.get("watermark") or 0),
        events=int(settings.get("events") or 0),
        metrics=header.metrics,
        full=bool(settings.get("full", True)),
        request_ids=[one for one in str(settings.get("request_ids") or "").split("\n") if one],
    )


def of_artifact(header: Header, arrays: Mapping[str, NDArray[Any]]) -> FittedVersion:
    """Return the version of a file."""
    blender = {name: arrays[name] for name in ("table", "squares", "outcomes")}
    width = blender["table"].shape[1]
    blender["scales"] = arrays.get("scales", np.ones(width))  # older files have none of these
    blender |= {name: arrays.get(name, np.zeros(width)) for name in ("leads", "lead_squares")}
    blender["judged"] = arrays.get("judged", np.zeros(1))
    repeats = RepeatRates()
    repeats.restore(header.names.get("repeated_categories", []), rates={}, visits={})
    return FittedVersion(
        of_header(header),
        header.names["parts"],
        blender,
        header.names["items"],
        arrays["tastes"],
        str(header.settings.get("taste_model", "ease")),
        repeats,
    )
