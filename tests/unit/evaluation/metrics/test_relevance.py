"""The measures of a model as library calls."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from evaluation.metrics.relevance import compute_relevance_accuracy, evaluate_model
from models.base import ModelEvent, Scores
from models.factorization.bias import Bias


class Fixed(Bias):
    """A model that predicts what it is given."""

    def __init__(self, predictions: dict[str, float]) -> None:
        super().__init__()
        self.predictions = predictions

    def predict(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        return np.array([self.predictions[item] for _, item in pairs])


def rated(**ratings: float | None) -> list[ModelEvent]:
    return [ModelEvent("ann", item, 1, 1.0, rating=rating) for item, rating in ratings.items()]


def test_errors_are_on_0_to_1_and_count_ratings_alone() -> None:
    metrics = evaluate_model(Fixed({"a": 1.4, "b": 0.5, "c": 0.2}), rated(a=1.0, b=0.0, c=0.4, d=None))
    assert metrics == {
        "accuracy": pytest.approx(2 / 3),
        "rmse": pytest.approx(math.sqrt((0.25 + 0.04) / 3)),
        "mae": pytest.approx(0.7 / 3),
    }


def test_without_ratings_there_is_no_figure() -> None:
    assert all(math.isnan(value) for value in evaluate_model(Fixed({}), rated(a=None)).values())


@pytest.mark.parametrize(("top_k", "expected"), [(1, 1.0), (2, 0.5), (3, 2 / 3), (10, 0.5)])
def test_relevance_is_the_share_of_relevant_items_among_the_best(top_k: int, expected: float) -> None:
    scores = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.1}
    assert compute_relevance_accuracy(scores, {"a": 1.0, "b": 0.2, "c": 0.5}, top_k) == pytest.approx(expected)


def test_nothing_shown_has_no_relevance() -> None:
    assert math.isnan(compute_relevance_accuracy({}, {"a": 1.0}))
