"""Evaluated models: every model of the registry, the serving blend, and the blend with ablated features."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.protocols.as_served import ServingDelays
from models.base import Model
from models.registry import MODELS
from schemas.types import Item
from streams.core.ranking.stages.features import FEATURES

BLEND = "blend"
"""The serving blend. `blend-neighbors` ablates a candidate source, `blend-neighbors.near` one of its features."""
ABLATIONS = ("sources", "parts")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalContext:
    """Information for a model before the first event."""

    catalogue: Sequence[Item]
    repeats: bool
    """Whether items that a user has acted on are recommended again."""
    seed: int
    delays: ServingDelays | None = None
    """Delays of a pipeline, for models that are ranked as served."""


class UnknownModelError(ValueError):
    """No evaluated model has this name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is no model {name}; there are {', '.join(names())}")


def names() -> list[str]:
    """Return the names of all models, the serving blend first."""
    return [BLEND, *MODELS]


def ablations(kind: str, *, repeats: bool) -> list[str]:
    """Return the blend and its ablations by source or by feature, limited to features active on the stream."""
    active_features = [name for name, feature in FEATURES.items() if repeats or not feature.needs_repeats]
    name_of = _of_source if kind == "sources" else _of_feature
    return [BLEND, *dict.fromkeys(map(name_of, active_features))]


def is_known(name: str) -> bool:
    """Return whether a model has this name."""
    return name in names() or bool(_ablated_features(name))


def is_baseline(name: str) -> bool:
    """Return whether a model is a baseline of the blend."""
    return name in MODELS


def build(name: str, context: EvalContext) -> Model:
    """Return an untrained model.

    Raises:
        UnknownModelError: no model has this name.
        ModuleNotFoundError: a package of an extra is not installed.
    """
    if not is_known(name):
        raise UnknownModelError(name)
    if name not in MODELS:
        from evaluation.contestants.blend import BlendCandidate
        from evaluation.contestants.served_blend import ServedBlend

        blend = BlendCandidate if context.delays is None else ServedBlend
        return blend(context, without=_ablated_features(name))
    builder = MODELS[name]
    seeded = "seed" in inspect.signature(builder).parameters
    return builder(seed=context.seed) if seeded else builder()  # type: ignore[call-arg]


def _of_source(feature: str) -> str:
    """Return the name of the blend without all features of a feature's source."""
    return f"{BLEND}-{FEATURES[feature].group.name}"


def _of_feature(feature: str) -> str:
    """Return the name of the blend without one feature."""
    return f"{_of_source(feature)}.{feature}"


def _ablated_features(name: str) -> frozenset[str]:
    """Return the features that the blend of this name ablates."""
    return frozenset(feature for feature in FEATURES if name in (_of_source(feature), _of_feature(feature)))
