"""Whom is ranked for: what sources, filters and parts of the score share of the work."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.cooccurrence import NEXT, STEP, TOGETHER, WEAK, WINDOW, moments_back
from models.weight import LIKING
from schemas.types import Features
from schemas.zone import zone_of
from streams.core.occasion import local_ms
from streams.core.params import RankParams
from streams.core.signal import cohort_of
from streams.core.view import SMALL, Column, Indices, View

VOTES = ("near", "far", "last", "next", "taste", "far_taste")
"""What of other items is asked of a history: the rows of `Person.votes`."""
_DISLIKED = -1.0
"""A dislike or a hide. Whoever rates a film low has still chosen it, and says something of what goes with it."""
_BACK = np.arange(WINDOW)
_NEAR_ITEMS = _BACK < 50
_FAR_WEAK = 0.3
_FAR_STEPS = 0.98**_BACK
_TASTE_STEP = 0.9
_TOGETHER = np.array([_NEAR_ITEMS * STEP**_BACK, _FAR_STEPS, _BACK == 0], np.float32)
_TOGETHER_WEAK = np.array([[WEAK], [_FAR_WEAK], [1.0]], np.float32)
"""What near, far and last weigh by steps back, and an event that is not a liking beside one that is."""
_TASTES = np.array([_NEAR_ITEMS * _TASTE_STEP**_BACK, _FAR_STEPS], np.float32)
_TASTES_WEAK = np.full((2, 1), _FAR_WEAK, np.float32)
"""The same for taste and far taste."""
_MOMENT_STEP = 0.5
_MOMENTS = 3
_SCALES = np.array([[1.0 / SMALL]] * 4 + [[100.0]] * 2, np.float32)
_LENGTHS = (1, 2, 3, 5, 10, 30, 100)
"""Where classes of history length begin."""
_GAPS_MS = (1, 60_000, 600_000, 6 * 3_600_000, 2 * 86_400_000)
"""Where classes of the time since the last event begin."""
_EVENTS = (1e-9, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Where classes of the last item's events begin: links of a rare item say less. Nobody's come first."""
CLASSES = (len(_LENGTHS) + 1, len(_GAPS_MS) + 2, len(_EVENTS) + 2)
"""How many classes each context has."""


@dataclass(frozen=True, slots=True)
class Person:
    """What is to be known of a user. Columns are over all items."""

    features: Features
    local_ms: int
    """The time at which is ranked, by the person's clock; see `streams.core.occasion`."""
    context: tuple[int, int, int]
    """Classes of the history's length, of the time since the last event, and of how much is known of its item."""
    cohort: int
    cold: float
    """How little is known of the person: 1 for a newcomer, falling to 0."""
    history: Indices
    """The last items that were not plainly disliked, newest first."""
    liked: NDArray[np.bool_]
    """Which of them were liked."""
    votes: Column
    """(6, items) what the history says of other items, each as a share of the strongest."""
    heard: Column
    """(6, items) the same on a scale like that of `view.strength`; what is below zero says nothing."""


def person(features: Features, view: View, params: RankParams, *, at_ms: int) -> Person:
    """Return what is to be known of a user who is ranked for at a time in the stream."""
    recent = features.recent[:WINDOW]
    numbers = view.items.numbers([event.item_id for event in recent])
    weights = np.array([event.weight for event in recent])
    told = (numbers >= 0) & (weights > _DISLIKED)
    history, liked = numbers[told], weights[told] >= LIKING
    moments = moments_back(np.array([event.at for event in recent], np.int64)[told], at_ms)
    votes = _votes(history, liked, moments, view)
    return Person(
        features,
        local_ms=local_ms(max(at_ms, features.triggered_at), zone_of(features.timezone, params.timezone)),
        context=(_class(features.event_count, _LENGTHS), _gap_class(features, at_ms), _item_class(history, view)),
        cohort=cohort_of(features.event_count),
        cold=params.cold_start_threshold / max(params.cold_start_threshold + features.event_count, 1),
        history=history,
        liked=liked,
        votes=votes,
        heard=_heard(votes),
    )


def _votes(history: Indices, liked: NDArray[np.bool_], moments: NDArray[np.int64], view: View) -> Column:
    """Ask the tables what goes with a history."""
    count, length = view.columns.count, len(history)
    if not length:
        return np.zeros((6, count), np.float32)
    one = np.float32(1.0)
    together = _TOGETHER[:, :length] * np.where(liked, one, _TOGETHER_WEAK)
    tastes = _TASTES[:, :length] * np.where(liked, one, _TASTES_WEAK)
    back = moments - moments.min()
    last = back < _MOMENTS
    following = (_MOMENT_STEP ** back[last])[None]
    votes = np.concatenate(
        [
            view.neighbors.votes((TOGETHER, history, together), (NEXT, history[last], following), count=count),
            view.tastes.votes((0, history, tastes), count=count),
        ]
    )
    highest = votes.max(axis=1, keepdims=True)
    votes /= np.where(highest > 0, highest, one)
    return votes


def _heard(votes: Column) -> Column:
    heard: Column = votes * _SCALES
    np.maximum(heard, np.zeros_like(heard), out=heard)  # with a number instead it takes three times as long
    np.log1p(heard, out=heard)
    return heard


def _gap_class(features: Features, at_ms: int) -> int:
    return CLASSES[1] - 1 if not features.event_count else _class(max(at_ms - features.watermark, 0), _GAPS_MS)


def _item_class(history: Indices, view: View) -> int:
    return 1 + _class(view.neighbors.events(int(history[0]), view.watermark), _EVENTS) if len(history) else 0


def _class(value: float, bounds: tuple[float, ...]) -> int:
    return bisect_right(bounds, value)
