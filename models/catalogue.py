"""Every model by name. A new one is one file and one line here, and it passes the conformance suite."""

from __future__ import annotations

from collections.abc import Callable

from models.bias import Bias, Mean
from models.chance import Chance
from models.cooccurrence import Cooccurrence
from models.model import Model
from models.popularity import Popularity
from models.rating import Frozen, RatingModel

MODELS: dict[str, Callable[[], Model]] = {
    "random": Chance,
    "popularity": Popularity,
    "decayed-popularity": lambda: Popularity(half_life_days=30.0),
    "cooccurrence": Cooccurrence,
}

RATING_MODELS: dict[str, Callable[[], RatingModel]] = {
    "mean": lambda: Frozen(Mean(), epochs=1),
    "frozen-bias": lambda: Frozen(Bias(), epochs=10),
    "bias": Bias,
}
