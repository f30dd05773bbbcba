"""Whom is ranked for: what sources, filters and parts of the score share of the work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.cooccurrence import NEXT, STEP, TOGETHER, WEAK, moments_back
from models.weight import is_liking
from schemas.types import Features
from streams.core.params import RankParams
from streams.core.signal import cohort_of
from streams.core.view import SMALL, Column, Indices, View

NEAR, FAR, LAST, FOLLOWING, TASTE, FAR_TASTE = range(6)
"""What of other items is asked of a history: the places in `Person.votes`."""
_NEAR_ITEMS = 50
_DISLIKED = -1.0
"""A dislike or a hide. Whoever rates a film low has still chosen it, and says something of what goes with it."""
_FAR_STEP = 0.98
_TASTE_STEP = 0.9
_FAR_WEAK = 0.3
_MOMENT_STEP = 0.5
_MOMENTS = 3
_DIGITS = 9
_LENGTHS = (1, 2, 3, 5, 10, 30, 100)
"""Where classes of history length begin."""
_GAPS_MS = (1, 60_000, 600_000, 6 * 3_600_000, 2 * 86_400_000)
"""Where classes of the time since the last event begin."""
CLASSES = (len(_LENGTHS) + 1, len(_GAPS_MS) + 2)
"""How many classes each context has."""


@dataclass(frozen=True, slots=True)
class Person:
    """What is to be known of a user. Columns are over all items."""

    features: Features
    context: tuple[int, int]
    """Class of the history's length, and of the time since the last event."""
    cohort: int
    cold: float
    """How little is known of the person: 1 for a newcomer, falling to 0."""
    likings: tuple[str, ...]
    """Categories the person cares for, most first."""
    history: Indices
    """The last items that were not plainly disliked, newest first."""
    liked: NDArray[np.bool_]
    """Which of them were liked."""
    votes: Column
    """(6, items) what the history says of other items, each as a share of the strongest."""


def person(features: Features, view: View, params: RankParams, *, at_ms: int) -> Person:
    """Return what is to be known of a user who is ranked for at a time in the stream."""
    stated = [name for name in features.preferred if view.categories.get(name) >= 0]
    found = sorted(
        (name for name, affinity in features.categories.items() if affinity > 0),
        key=lambda name: (-round(features.categories[name], _DIGITS), name),
    )
    told = [(index, event) for event in features.recent if (index := view.items.get(event.item_id)) >= 0]
    known = [(index, event) for index, event in told if event.weight > _DISLIKED]
    history = np.array([index for index, _ in known], np.int32)
    liked = np.array([is_liking(event.weight) for _, event in known], bool)
    moments = moments_back([event.at for _, event in known], at_ms)
    return Person(
        features,
        context=(_class(features.event_count, _LENGTHS), _gap_class(features, at_ms)),
        cohort=cohort_of(features.event_count),
        cold=params.cold_start_threshold / max(params.cold_start_threshold + features.event_count, 1),
        likings=tuple(dict.fromkeys([*found[: params.categories], *stated[: params.categories]])),
        history=history,
        liked=liked,
        votes=_votes(history, liked, moments, view),
    )


def _votes(history: Indices, liked: NDArray[np.bool_], moments: NDArray[np.int64], view: View) -> Column:
    """Ask the tables what goes with a history."""
    count = view.columns.count
    if not len(history):
        return np.zeros((6, count), np.float32)
    votes = np.zeros((6, count))
    steps = np.arange(len(history))
    near = np.where(steps < _NEAR_ITEMS, np.where(liked, 1.0, WEAK), 0.0)
    far = np.where(liked, 1.0, _FAR_WEAK) * _FAR_STEP**steps
    weights = np.stack([near * STEP**steps, far, steps == 0])
    votes[[NEAR, FAR, LAST]] = view.neighbors.votes(history, weights, channel=TOGETHER, count=count)
    back = moments - moments.min()
    last = back < _MOMENTS
    weights = (_MOMENT_STEP ** back[last])[None]
    votes[FOLLOWING] = view.neighbors.votes(history[last], weights, channel=NEXT, count=count)[0]
    weights = np.stack([np.where(liked, 1.0, _FAR_WEAK) * _TASTE_STEP**steps * (near > 0), far])
    votes[[TASTE, FAR_TASTE]] = view.tastes.votes(history, weights, channel=0, count=count)
    highest = votes.max(axis=1, keepdims=True)
    return (votes / np.where(highest > 0, highest, 1.0)).astype(np.float32)


def heard(shares: Column) -> Column:
    """Return shares of the strongest on the scale of `view.strength`; what is below zero says nothing."""
    return np.log1p(np.maximum(shares, 0.0) / np.float32(SMALL))


def _gap_class(features: Features, at_ms: int) -> int:
    return CLASSES[1] - 1 if not features.event_count else _class(max(at_ms - features.watermark, 0), _GAPS_MS)


def _class(value: int, bounds: tuple[int, ...]) -> int:
    return int(np.searchsorted(bounds, value, side="right"))
