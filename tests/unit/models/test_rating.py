"""Rating models on ratings that were made from known biases and factors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from models.base import ModelEvent
from models.factorization.bias import UNINFORMED, Bias, Mean
from models.factorization.svd import Svd
from models.rating import Frozen, RatingModel
from models.registry import RATING_MODELS

every_model = pytest.mark.parametrize("build", RATING_MODELS.values(), ids=list(RATING_MODELS))


def rated(user: int, item: int, rating: float) -> ModelEvent:
    return ModelEvent(f"u{user}", f"i{item}", 1_700_000_000_000, 1.0, rating)


def additive(seed: int = 0) -> list[ModelEvent]:
    """Return ratings 0.5 + user offset + item offset: users ±0.2, items ±0.1."""
    draw = np.random.default_rng(seed)
    pairs = [(int(u), int(i)) for u, i in draw.integers(20, size=(3_000, 2))]
    return [rated(u, i, 0.5 + (0.2 if u % 2 else -0.2) + (0.1 if i % 2 else -0.1)) for u, i in pairs]


def checkered(seed: int = 0) -> list[ModelEvent]:
    """Return ratings of 0.9 where user and item have one parity, else 0.1: no bias explains them."""
    draw = np.random.default_rng(seed)
    return [rated(int(u), int(i), 0.9 if u % 2 == i % 2 else 0.1) for u, i in draw.integers(10, size=(6_000, 2))]


@every_model
def test_ratings_are_predicted_within_their_bounds(build: Callable[[], RatingModel]) -> None:
    model = build()
    assert model.predict([("u1", "i1"), ("nobody", "nothing")]).tolist() == [UNINFORMED, UNINFORMED]
    model.learn([rated(n % 3, n % 5, float(n % 2)) for n in range(60)])
    scores = model.predict([(f"u{n % 4}", f"i{n}") for n in range(9)])
    assert scores.shape == (9,)
    assert scores.dtype == np.float64
    assert ((scores >= 0) & (scores <= 1)).all()
    assert model.predict([]).shape == (0,)


@every_model
def test_events_without_a_rating_teach_nothing(build: Callable[[], RatingModel]) -> None:
    trained_model, queried_model = build(), build()
    trained_model.learn([event for pair in zip(additive(), _unrated(), strict=False) for event in pair])
    queried_model.learn(additive()[: len(_unrated())])
    pairs = [(f"u{n}", f"i{n}") for n in range(20)]
    assert trained_model.predict(pairs) == pytest.approx(queried_model.predict(pairs), abs=0.05)


@pytest.mark.parametrize("build", [Mean, Bias, Svd])
def test_a_batch_of_ratings_teaches_what_its_ratings_teach_one_by_one(build: Callable[[], RatingModel]) -> None:
    at_once, stepwise = build(), build()
    at_once.learn(additive())
    for event in additive():
        stepwise.learn([event])
    pairs = [(f"u{n}", f"i{n}") for n in range(20)]
    assert at_once.predict(pairs).tolist() == stepwise.predict(pairs).tolist()


def test_biases_are_found() -> None:
    model = Bias()
    model.learn(additive())
    scores = model.predict([("u0", "i0"), ("u0", "i1"), ("u1", "i0"), ("u1", "i1"), ("u1", "new"), ("new", "i1")])
    assert scores == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.7, 0.6], abs=0.03)


def test_factors_find_what_biases_cannot() -> None:
    bias, svd = Bias(), Svd(regularization=0.01)
    for model in (bias, svd):
        model.learn(checkered())
    pairs = [("u0", "i0"), ("u0", "i1"), ("u1", "i0"), ("u1", "i1")]
    assert bias.predict(pairs) == pytest.approx([0.5] * 4, abs=0.2)
    assert svd.predict(pairs) == pytest.approx([0.9, 0.1, 0.1, 0.9], abs=0.1)


def test_a_frozen_model_stays_as_its_first_batch_made_it() -> None:
    model = Frozen(Mean(), epochs=3)
    model.learn([])
    model.learn([rated(0, 0, 0.25), rated(1, 0, 0.75)])
    model.learn([rated(0, 0, 1.0)])
    assert model.name == "frozen-mean"
    assert model.predict([("u0", "i0")]).tolist() == [0.5]


def _unrated() -> list[ModelEvent]:
    return [ModelEvent(f"u{n % 7}", f"i{n % 7}", 1_700_000_000_000, -1.0) for n in range(500)]
