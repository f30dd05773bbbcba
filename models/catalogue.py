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
    "user-user": UserUser,
    "session-knn": SessionKnn,
    "ease": Ease,
    "als": Als,
    "content": Content,
}

RATING_MODELS: dict[str, Callable[[], RatingModel]] = {
    "mean": lambda: Frozen(Mean(), epochs=1),
    "frozen-bias": lambda: Frozen(Bias(floor=0.0), epochs=2),
    "frozen-svd": lambda: Frozen(Svd(floor=0.0), epochs=2),
    "bias": Bias,
    "svd": Svd,
}
