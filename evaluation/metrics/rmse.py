"""RMSE and MAE of predicted ratings on [0, 1], trained on the events before a split and tested on the split.

Each rating of the split is predicted, then learned. A frozen model learns the events before the split in one batch and
nothing after it; an online one continues. Predictions are clipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from evaluation.protocols.split import Split, split_bounds
from evaluation.protocols.stream import Stream
from models.rating import RatingModel
from models.registry import RATING_MODELS

_TELL_EVERY = 200


def errors(
    model: RatingModel, stream: Stream, split: Split, *, on_progress: Callable[[int], None] = lambda count: None
) -> tuple[float, float]:
    """Return a model's RMSE and MAE over the ratings of a split.

    Args:
        model: An untrained model.
        stream: The stream.
        split: The split to predict.
        on_progress: Called with the number of processed events.
    """
    start, end = split_bounds(stream, split)
    model.learn(stream.events[:start])
    differences: list[float] = []
    for index, event in enumerate(stream.events[start:end], start=start):
        if event.rating is None:
            continue
        (prediction,) = np.clip(model.predict([(event.user_id, event.item_id)]), 0.0, 1.0)
        differences.append(float(prediction - event.rating))
        model.learn([event])
        if index % _TELL_EVERY == 0:
            on_progress(index)
    on_progress(end)
    return mean_errors(differences)


def mean_errors(differences: Sequence[float]) -> tuple[float, float]:
    """Return RMSE and MAE; NaN without any prediction.

    Args:
        differences: The difference of each prediction from its rating.

    >>> mean_errors([0.0, 2.0])
    (1.4142135623730951, 1.0)
    """
    if not len(differences):
        return float("nan"), float("nan")
    return float(np.sqrt(np.mean(np.square(differences)))), float(np.mean(np.abs(differences)))


def report(
    stream: Stream, split: Split, *, on_progress: Callable[[str, int], None] = lambda name, count: None
) -> dict[str, Any]:
    """Return the errors of every rating model, with the rating scale and the sizes of training and test set."""
    start, end = split_bounds(stream, split)
    errors_by_model: dict[str, tuple[float, float]] = {}
    skip_reasons: dict[str, str] = {}
    for name, build in RATING_MODELS.items():
        try:
            model = build()
        except ModuleNotFoundError as missing:
            skip_reasons[name] = f"needs the package {missing.name}"
            continue
        errors_by_model[name] = errors(model, stream, split, on_progress=partial(on_progress, name))
    return {
        "scale": [stream.low, stream.high],
        "train_events": start,
        "cases": int(np.count_nonzero(~np.isnan(stream.rating[start:end]))),
        "models": {
            name: {"rmse": rmse, "mae": mae, "rmse_stars": rmse * (stream.high - stream.low)}
            for name, (rmse, mae) in errors_by_model.items()
        },
        "skipped": skip_reasons,
    }
