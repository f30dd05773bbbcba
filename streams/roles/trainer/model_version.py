"""Versions of what the trainer learned: as records for the workers, and as artifacts to come back to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.redis.stores.model_status import SERVING, Version
from models.artifact import Header
from models.blend.blender import Weights
from schemas.types import ItemWeights, ModelVersion
from streams.core.byte_budget import strongest
from streams.core.learning.learner import Learner
from streams.core.ranking.pipeline import MODEL

REFUSED_MODEL = f"{MODEL}/refused"
"""The key of refused versions, which must not replace the one in service on the compacted topic."""
ROW_BYTES = 768 << 10
"""Bytes of what one item's row tells of others."""
_WEIGHT_BYTES = 12
"""Bytes of a weight, and of the length of the id beside it."""


@dataclass(frozen=True, slots=True)
class FittedVersion:
    """A version with everything that is needed to serve it."""

    version: Version
    parts: list[str]
    blender: Mapping[str, Weights]
    items: list[str]
    """What the rows and columns of the tastes stand for."""
    tastes: NDArray[np.float32]
    """(items, items)."""
    taste_model: str
    """The name of the model that they came from."""


def name_of(at_ms: int) -> str:
    """Return the name of a version made at a time; later names sort later."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y%m%dT%H%M%S.") + f"{at_ms % 1000:03}Z"


def fitted(version: Version, learner: Learner) -> FittedVersion:
    """Return what a learner has learned as a version."""
    view = learner.view
    numbers, tastes = view.tastes.block(0)
    state = {name: array.copy() for name, array in learner.blender.state().items()}
    return FittedVersion(
        version,
        list(learner.blender.features),
        state,
        [view.items.names[n] for n in numbers.tolist()],
        tastes.astype(np.float32),
        learner.tastes.name,
    )


def rows(found: FittedVersion, *, trimmed: Counter[str] | None = None) -> Iterator[ItemWeights]:
    """Yield a version's tastes, item by item: the strongest weights, where a record has no room for all.

    `trimmed` counts the weights that had none.
    """
    items = np.array(found.items, object)
    for item_id, weights in zip(found.items, found.tastes, strict=True):
        told = np.flatnonzero(weights)
        kept = strongest(items[told].tolist(), weights[told].tolist(), ROW_BYTES, each=_WEIGHT_BYTES)
        if trimmed is not None:
            trimmed["weights"] += len(told) - len(kept)
        told = told[kept]
        yield ItemWeights(
            item_id=item_id,
            model_version=found.version.version,
            others=items[told].tolist(),
            weights=weights[told].tolist(),
        )


def record(version: Version, parts: list[str], blender: Mapping[str, Weights]) -> ModelVersion:
    """Return what workers are told of a version: to serve it, or that it was refused."""
    return ModelVersion(
        model=MODEL if version.status == SERVING else REFUSED_MODEL,
        version=version.version,
        created_at=version.created_at,
        watermark=version.watermark,
        status=version.status,
        reason=version.reason,
        events=version.events,
        metrics=version.metrics,
        parts=parts,
        weights=blender["table"].ravel().tolist(),
        squares=blender["squares"].ravel().tolist(),
        scales=blender["scales"].tolist(),
    )


def version_of(told: ModelVersion) -> Version:
    """Return the version that a record tells of."""
    return Version(
        version=told.version,
        status=told.status,
        reason=told.reason,
        created_at=told.created_at,
        watermark=told.watermark,
        events=told.events,
        metrics=told.metrics,
    )


def to_artifact(found: FittedVersion) -> tuple[Header, dict[str, NDArray[Any]]]:
    """Return a version as the header and the arrays of a file."""
    version = found.version
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
            "taste_model": found.taste_model,
            "request_ids": "\n".join(version.request_ids),
        },
        names={"parts": found.parts, "items": found.items},
    )
    return header, {**found.blender, "tastes": found.tastes}


def of_header(header: Header) -> Version:
    """Return the version that a file's header tells of."""
    told = header.settings
    return Version(
        version=header.version,
        status=str(told.get("status", SERVING)),
        reason=str(told.get("reason", "")),
        created_at=header.created_at_ms,
        watermark=int(told.get("watermark") or 0),
        events=int(told.get("events") or 0),
        metrics=header.metrics,
        full=bool(told.get("full", True)),
        request_ids=[one for one in str(told.get("request_ids") or "").split("\n") if one],
    )


def of_artifact(header: Header, arrays: Mapping[str, NDArray[Any]]) -> FittedVersion:
    """Return the version that a file holds."""
    blender = {name: arrays[name] for name in ("table", "squares", "outcomes")}
    blender["scales"] = arrays.get("scales", np.ones(blender["table"].shape[1]))  # files of before have none
    return FittedVersion(
        of_header(header),
        header.names["parts"],
        blender,
        header.names["items"],
        arrays["tastes"],
        str(header.settings.get("taste_model", "ease")),
    )
