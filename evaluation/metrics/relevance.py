"""Measures of a model as library calls: `evaluate_model` and `compute_relevance_accuracy`.

>>> from models.base import ModelEvent
>>> from models.factorization.bias import Bias
>>> history = [ModelEvent("ann", "a", 1, 1.0, rating=1.0), ModelEvent("ann", "b", 2, 0.0, rating=0.0)]
>>> model = Bias()
>>> model.learn(history)
>>> sorted(evaluate_model(model, history))
['accuracy', 'mae', 'rmse']
>>> compute_relevance_accuracy({"a": 0.9, "b": 0.4, "c": 0.1}, {"a": 1.0, "c": 1.0}, top_k=2)
0.5
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evaluation.metrics.rmse import mean_errors
from models.base import ModelEvent
from models.rating import RatingModel

RELEVANT = 0.5
"""Rating on [0, 1] from which an item is relevant."""


def evaluate_model(model: RatingModel, interactions: Sequence[ModelEvent]) -> dict[str, float]:
    """Return how well a trained model predicts the ratings of interactions, none of which it learns.

    Args:
        model: The model.
        interactions: Interactions; those without a rating are left out.

    Returns:
        `rmse` and `mae` of the predictions on [0, 1], and `accuracy`, the share of items that are predicted to be
        relevant or not as they are; NaN without any rating.
    """
    rated_events = [event for event in interactions if event.rating is not None]
    if not rated_events:
        return dict.fromkeys(("accuracy", "rmse", "mae"), float("nan"))
    ratings = np.array([event.rating for event in rated_events], float)
    predictions = np.clip(model.predict([(event.user_id, event.item_id) for event in rated_events]), 0.0, 1.0)
    rmse, mae = mean_errors((predictions - ratings).tolist())
    accuracy = float(np.mean((predictions >= RELEVANT) == (ratings >= RELEVANT)))
    return {"accuracy": accuracy, "rmse": rmse, "mae": mae}


def compute_relevance_accuracy(
    predicted_scores: Mapping[str, float], ground_truth: Mapping[str, float], top_k: int = 10
) -> float:
    """Return the share of relevant items among those with the highest scores, that is the precision at k.

    Args:
        predicted_scores: The score of each item.
        ground_truth: The relevance of items on [0, 1]; items without one are not relevant.
        top_k: Number of items that are shown; of fewer items, all are.
    """
    top = sorted(predicted_scores, key=lambda item: (-predicted_scores[item], item))[:top_k]
    if not top:
        return float("nan")
    return sum(ground_truth.get(item, 0.0) >= RELEVANT for item in top) / len(top)
