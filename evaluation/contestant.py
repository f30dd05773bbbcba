"""Who takes part: every model of the catalogue, the blend that serves, and the blend without some of its parts."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

from models.base import Model
from models.registry import MODELS
from schemas.types import Item
from streams.core.ranking.features import FEATURES

BLEND = "blend"
"""What we serve. `blend-neighbors` does without a source, `blend-neighbors.near` without one of its parts."""
ABLATIONS = ("sources", "parts")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalContext:
    """What a contestant may know before the first event."""

    catalogue: Sequence[Item]
    repeats: bool
    """Whether items that a user has touched are shown again."""
    seed: int


class UnknownModelError(ValueError):
    """A name that nobody takes part under."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is no model {name}; there are {', '.join(names())}")


def names() -> list[str]:
    """Return everyone's name, what we serve first."""
    return [BLEND, *MODELS]


def ablations(kind: str, *, repeats: bool) -> list[str]:
    """Return the blend and those without a source, or without a part, as far as these speak on a stream."""
    active_features = [name for name, part in FEATURES.items() if repeats or not part.repeats]
    name_of = _of_source if kind == "sources" else _of_part
    return [BLEND, *dict.fromkeys(map(name_of, active_features))]


def is_known(name: str) -> bool:
    """Return whether somebody takes part under a name."""
    return name in names() or bool(_ablated_features(name))


def is_baseline(name: str) -> bool:
    """Return whether a model is one of those that the blend is held against."""
    return name in MODELS


def build(name: str, setup: EvalContext) -> Model:
    """Return a contestant that has learned nothing yet.

    Raises:
        UnknownModelError: nobody has this name.
        ModuleNotFoundError: it needs a package of an extra that is not installed.
    """
    if not is_known(name):
        raise UnknownModelError(name)
    if name not in MODELS:
        from evaluation.blend import BlendCandidate

        return BlendCandidate(setup, without=_ablated_features(name))
    builder = MODELS[name]
    seeded = "seed" in inspect.signature(builder).parameters
    return builder(seed=setup.seed) if seeded else builder()  # type: ignore[call-arg]


def _of_source(part: str) -> str:
    """Return the name of the blend without everything from a part's source."""
    return f"{BLEND}-{FEATURES[part].source}"


def _of_part(part: str) -> str:
    """Return the name of the blend without a part alone."""
    return f"{_of_source(part)}.{part}"


def _ablated_features(name: str) -> frozenset[str]:
    """Return the parts that a blend of this name does without."""
    return frozenset(part for part in FEATURES if name in (_of_source(part), _of_part(part)))
