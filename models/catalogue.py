"""Every model by name. A new one is one file and one line here, and it passes the conformance suite."""

from __future__ import annotations

from collections.abc import Callable

from models.als import Als
from models.bias import Bias, Mean
from models.chance import Chance
from models.content import Content
from models.cooccurrence import Cooccurrence
from models.ease import Ease
from models.itemknn import ItemKnn
from models.model import Model
from models.network import network
from models.popularity import Popularity
from models.rating import Frozen, RatingModel
from models.sessionknn import SessionKnn
from models.svd import Svd
from models.useruser import UserUser

MODELS: dict[str, Callable[[], Model]] = {
    "random": Chance,
    "popularity": Popularity,
    "decayed-popularity": lambda: Popularity(half_life_days=30.0),
    "cooccurrence": Cooccurrence,
    "item-knn": ItemKnn,
    "item-item": lambda: ItemKnn(name="item-item", neighbors=50, shrink=0.0, step=1.0),
    "user-user": UserUser,
    "session-knn": SessionKnn,
    "ease": Ease,
    "als": Als,
    "content": Content,
    "bpr": network("models.bpr", "Bpr"),
    "lightgcn": network("models.lightgcn", "LightGcn"),
    "dot-product": network("models.dotproduct", "DotProduct"),
    "deep": network("models.deep", "Deep"),
    "sequence": network("models.sequence", "SelfAttention"),
}

RATING_MODELS: dict[str, Callable[[], RatingModel]] = {
    "mean": lambda: Frozen(Mean(), epochs=1),
    "frozen-bias": lambda: Frozen(Bias(floor=0.0), epochs=2),
    "frozen-svd": lambda: Frozen(Svd(floor=0.0), epochs=2),
    "bias": Bias,
    "svd": Svd,
}
