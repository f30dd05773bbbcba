"""Item weight models: the models that can provide item weights, by name and configured from the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from infra.error import OperatorError
from infra.settings import Settings
from models.factorization.als import Als
from models.factorization.puresvd import PureSvd
from models.registry import MODELS
from models.text.content import ContentModel
from models.text.tfidf import TfIdf
from streams.core.learning.item_weights import (
    ContentItemWeights,
    EaseItemWeights,
    ItemWeightsProvider,
    ModelItemWeights,
)
from streams.runtime.encoder_models import ENCODER_MODELS

_AS_THEY_ARE = ("cooccurrence", "item-knn", "item-item", "bpr")
"""Models without settings. Models that cannot score from a single item, or that only know users, are left out."""


def _unchanged(name: str) -> Callable[[Settings], ItemWeightsProvider]:
    return lambda settings: ModelItemWeights(name, MODELS[name]())


def _als(settings: Settings) -> ItemWeightsProvider:
    factors, regularization = settings.collaborative_factors, settings.collaborative_regularization
    return ModelItemWeights("als", Als(factors=factors, regularization=regularization))


def _pure_svd(settings: Settings) -> ItemWeightsProvider:
    return ModelItemWeights("pure-svd", PureSvd(factors=settings.collaborative_factors))


def _content(settings: Settings) -> ItemWeightsProvider:
    encoder = TfIdf(features=settings.tfidf_max_features, dimensions=settings.content_embedding_dim)
    return ContentItemWeights("content", ContentModel(encoder))


ITEM_WEIGHT_MODELS: Mapping[str, Callable[[Settings], ItemWeightsProvider]] = {
    "ease": lambda settings: EaseItemWeights(),
    "als": _als,
    "pure-svd": _pure_svd,
    "content": _content,
} | {name: _unchanged(name) for name in _AS_THEY_ARE}


def item_weights_builder(settings: Settings) -> Callable[[], ItemWeightsProvider]:
    """Return the factory of untrained item weights.

    Raises:
        OperatorError: the settings name a model that cannot provide item weights.
    """
    build = ITEM_WEIGHT_MODELS.get(settings.item_item_model)
    if settings.item_item_model in ENCODER_MODELS:
        raise OperatorError(
            f"ITEM_ITEM_MODEL names {settings.item_item_model}, a network that serves users by their own vectors.",
            f"Set ENCODER={settings.item_item_model} instead.",
        )
    if build is None:
        raise OperatorError(
            f"ITEM_ITEM_MODEL names {settings.item_item_model}.", f"There are {', '.join(ITEM_WEIGHT_MODELS)}."
        )
    return lambda: build(settings)
