"""Who takes part: every model of the catalogue, and what is put together here from the parts that serve."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.catalogue import MODELS
from models.model import Model
from schemas.types import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a contestant may know before the first event."""

    catalogue: Sequence[Item]
    repeats: bool
    """Whether items that a user has touched are shown again."""
    seed: int


def _blend(setup: Setup) -> Model:
    from evaluation.blend import Blend

    return Blend(setup)


CONTESTANTS: dict[str, Callable[[Setup], Model]] = {"blend": _blend}
"""Those that are not plain models of the catalogue, by name."""


class UnknownModelError(ValueError):
    """A name that nobody takes part under."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is no model {name}; there are {', '.join(names())}")


def names() -> list[str]:
    """Return everyone's name, what we serve first."""
    return [*CONTESTANTS, *MODELS]


def is_baseline(name: str) -> bool:
    """Say whether a model is one of the parts, that the others are held against."""
    return name not in CONTESTANTS


def build(name: str, setup: Setup) -> Model:
    """Return a contestant that has learned nothing yet.

    Raises:
        UnknownModelError: nobody has this name.
        ModuleNotFoundError: it needs a package of an extra that is not installed.
    """
    if name in CONTESTANTS:
        return CONTESTANTS[name](setup)
    if name not in MODELS:
        raise UnknownModelError(name)
    builder = MODELS[name]
    seeded = "seed" in inspect.signature(builder).parameters
    return builder(seed=setup.seed) if seeded else builder()  # type: ignore[call-arg]
