"""Encoder models: the networks that can serve users by their own vectors, configured from the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import cast

from infra.error import OperatorError
from infra.settings import Settings
from models.encoders.user_encoder import EncoderModel
from models.neural.network import Builder, network
from streams.core.ranking.catalog.encoder_spaces import NO_ENCODER


def _training(settings: Settings) -> dict[str, float]:
    """Return the options of networks that learn from sampled events."""
    return {
        "batch": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "buffer_capacity": settings.encoder_events,
    }


def _sequence(settings: Settings) -> Builder:
    return network("models.neural.sequence", "SelfAttention", config="SequenceConfig", **_training(settings))


def _deep(settings: Settings) -> Builder:
    return network(
        "models.neural.deep",
        "Deep",
        config="DeepConfig",
        embedding_dim=settings.embedding_dim,
        **_training(settings),
    )


def _lightgcn(settings: Settings) -> Builder:
    return network("models.neural.lightgcn", "LightGcn")


def _dot_product(settings: Settings) -> Builder:
    return network(
        "models.factorization.dotproduct",
        "DotProduct",
        config="DotProductConfig",
        embedding_dim=settings.embedding_dim,
        history_events=settings.encoder_events,
    )


ENCODER_MODELS: Mapping[str, Callable[[Settings], Builder]] = {
    "sequence": _sequence,
    "deep": _deep,
    "lightgcn": _lightgcn,
    "dot-product": _dot_product,
}


def encoder_builder(settings: Settings) -> Callable[[], EncoderModel] | None:
    """Return the factory of the untrained network that the settings name; None for no network.

    Raises:
        OperatorError: torch is not installed.
    """
    if settings.encoder == NO_ENCODER:
        return None
    if find_spec("torch") is None:
        raise OperatorError(
            f"ENCODER={settings.encoder} needs torch, which is not installed.", "Run pip install 'millrace[train]'."
        )
    return cast(Callable[[], EncoderModel], ENCODER_MODELS[settings.encoder](settings))
