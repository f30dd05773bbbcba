"""Registry of all models by name. A new model is one file and one line here, and passes the conformance suite."""

from __future__ import annotations

from collections.abc import Callable

from models.base import Model
from models.baselines.popularity import Popularity
from models.baselines.random import RandomModel
from models.factorization.als import Als
from models.factorization.bias import Bias, Mean
from models.factorization.ease import Ease
from models.factorization.puresvd import PureSvd
from models.factorization.svd import Svd
from models.factorization.tale import Tale
from models.neighbours.cooccurrence import Cooccurrence
from models.neighbours.itemknn import ItemKnn
from models.neighbours.sessionknn import SessionKnn
from models.neighbours.useruser import UserUser
from models.neural.network import network
from models.rating import Frozen, RatingModel
from models.text.content import ContentModel

MODELS: dict[str, Callable[[], Model]] = {
    "random": RandomModel,
    "popularity": Popularity,
    "decayed-popularity": lambda: Popularity(half_life_days=30.0),
    "cooccurrence": Cooccurrence,
    "item-knn": ItemKnn,
    "item-item": lambda: ItemKnn(name="item-item", neighbors=50, shrink=0.0, position_discount=1.0),
    "user-user": UserUser,
    "session-knn": SessionKnn,
    "ease": Ease,
    "tale": Tale,
    "als": Als,
    "pure-svd": PureSvd,
    "content": ContentModel,
    "bpr": network("models.factorization.bpr", "Bpr"),
    "lightgcn": network("models.neural.lightgcn", "LightGcn"),
    "dot-product": network("models.factorization.dotproduct", "DotProduct"),
    "deep": network("models.neural.deep", "Deep"),
    "sequence": network("models.neural.sequence", "SelfAttention"),
}

RATING_MODELS: dict[str, Callable[[], RatingModel]] = {
    "mean": lambda: Frozen(Mean(), epochs=1),
    "frozen-bias": lambda: Frozen(Bias(floor=0.0), epochs=2),
    "frozen-svd": lambda: Frozen(Svd(floor=0.0), epochs=2),
    "bias": Bias,
    "svd": Svd,
}
