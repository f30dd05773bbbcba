"""Evaluated models: those of the registry, the serving blend, the blend with ablated features, and single features."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field

from evaluation.protocols.as_served import ServingDelays
from infra.settings import Settings
from models.base import Model
from models.registry import MODELS
from schemas.types import Item
from streams.core.ranking.stages.features import FEATURES

BLEND = "blend"
"""The serving blend. `blend-neighbors` ablates a feature group, `blend-neighbors.near` one of its features."""
ALONE = "alone"
"""The prefix of a feature that ranks alone: `alone-popular.lasting`."""
ABLATIONS = ("sources", "parts", ALONE)
"""The blend against itself without each group or feature, or against each feature alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalContext:
    """Information for a model before the first event."""

    catalogue: Sequence[Item]
    seed: int
    delays: ServingDelays | None = None
    """Delays of a pipeline, for models that are ranked as served."""
    settings: Settings = field(default_factory=Settings)
    """The settings of the blend."""


class UnknownModelError(ValueError):
    """No evaluated model has this name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is no model {name}; there are {', '.join(names())}")


def names() -> list[str]:
    """Return the names of all models, the serving blend first."""
    return [BLEND, *MODELS]


def ablations(kind: str, *, repeats: bool) -> list[str]:
    """Return the blend and its ablations, or its features alone, limited to features active on the stream.

    Args:
        kind: One of ABLATIONS.
        repeats: Whether items repeat on the stream.
    """
    active_features = [name for name, feature in FEATURES.items() if repeats or not feature.needs_repeats]
    name_of = {"sources": _of_group, "parts": _of_feature, ALONE: _alone}[kind]
    return [BLEND, *dict.fromkeys(map(name_of, active_features))]


def is_known(name: str) -> bool:
    """Return whether a model has this name."""
    return name in names() or bool(_ablated_features(name)) or _feature_alone(name) is not None


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
        return blend(context, without=_ablated_features(name), alone=_feature_alone(name))
    builder = MODELS[name]
    takes_seed = "seed" in inspect.signature(builder).parameters
    return builder(seed=context.seed) if takes_seed else builder()  # type: ignore[call-arg]


def _of_group(feature: str) -> str:
    """Return the name of the blend without all features of a feature's group."""
    return f"{BLEND}-{FEATURES[feature].group.name}"


def _of_feature(feature: str) -> str:
    """Return the name of the blend without one feature."""
    return f"{_of_group(feature)}.{feature}"


def _alone(feature: str) -> str:
    """Return the name of a feature that ranks alone."""
    return f"{ALONE}-{FEATURES[feature].group.name}.{feature}"


def _feature_alone(name: str) -> str | None:
    """Return the feature that ranks alone under this name."""
    return next((feature for feature in FEATURES if name == _alone(feature)), None)


def _ablated_features(name: str) -> frozenset[str]:
    """Return the features that the blend of this name ablates."""
    return frozenset(feature for feature in FEATURES if name in (_of_group(feature), _of_feature(feature)))
