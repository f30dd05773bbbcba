"""Lazy builders of networks: torch is imported only when a network is built."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Protocol, cast

from models.base import Model


class MissingTorchError(ModuleNotFoundError):
    """A model needs torch, which is not installed."""

    def __init__(self, model: str) -> None:
        self.model = model
        super().__init__(f"{model} needs torch: pip install 'millrace[train]'", name="torch")


class Builder(Protocol):
    """A factory of untrained models."""

    def __call__(self, *, seed: int = 0) -> Model:
        """Return a model with this random seed."""


def network(module: str, model: str, *, config: str = "", **options: float) -> Builder:
    """Return a builder of a model that imports its module when called and computes on one thread.

    Args:
        module: Module of the model.
        model: Name of its class.
        config: Name of its config class; empty for the model's defaults.
        options: Arguments of the config.

    Raises:
        MissingTorchError: torch is not installed, when the builder is called.
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
