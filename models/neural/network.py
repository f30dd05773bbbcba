"""Networks are imported when they are built, so that whatever trains none runs without torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Protocol, cast

from models.base import Model


class MissingTorchError(ModuleNotFoundError):
    """A model that needs torch, where there is none."""

    def __init__(self, model: str) -> None:
        self.model = model
        super().__init__(f"{model} needs torch: pip install 'millrace[train]'", name="torch")


class Builder(Protocol):
    """Builds a model that has learned nothing yet."""

    def __call__(self, *, seed: int = 0) -> Model:
        """Return the model, which draws with this seed."""


def network(module: str, model: str, *, config: str = "", **options: float) -> Builder:
    """Return a builder of a model that imports its module when called and computes on one thread.

    Args:
        module: Where the model is.
        model: Its class.
        config: The class of its config; without one it has its own defaults.
        options: What the config is given.

    Raises:
        MissingTorchError: when called, without torch.
    """

    def build(*, seed: int = 0) -> Model:
        try:
            import torch
        except ModuleNotFoundError as error:
            raise MissingTorchError(model) from error
        torch.set_num_threads(1)
        loaded_module = import_module(module)
        arguments = (getattr(loaded_module, config)(**options),) if config else ()
        return cast(Callable[..., Model], getattr(loaded_module, model))(*arguments, seed=seed)

    return build
