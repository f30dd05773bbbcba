"""A data set as columns: users, items and times as numbers, with the events for the models.

Positives, and whether items repeat, are derived from the events and never from the data set's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loaders import Dataset
from models.base import ModelEvent
from models.vocabulary import Vocabulary
from models.weight import weight_of
from schemas.types import Interaction, Item

LIKED = 0.8
"""Least share of the scale of a positive rating: 4 of 5."""
_SCALES = (1.0, 5.0, 10.0, 100.0)
_NOTICEABLE = 0.01
"""Share of repeated (user, item) events above which a stream counts as one with repeating items."""
_WEIGHED_SCALE = 5.0
"""The rating scale of `models.weight`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Events by (time, order in the source). Columns have one entry per event."""

    name: str
    users: list[str]
    items: list[str]
    user: NDArray[np.int32]
    item: NDArray[np.int32]
    at_ms: NDArray[np.int64]
    rating: NDArray[np.float64]
    """Ratings on [0, 1], from the lowest in the data to the highest; NaN without a rating."""
    positive: NDArray[np.bool_]
    fresh: NDArray[np.bool_]
    """Whether the event is the user's first on the item."""
    events: list[ModelEvent]
    has_ratings: bool
    low: float
    """The rating that maps to 0, on the scale of the data."""
    high: float
    """The rating that maps to 1."""
    repeats: bool
    catalogue: Sequence[Item]

    def __len__(self) -> int:
        return len(self.events)


def of_dataset(data: Dataset, *, repeats: bool | None = None, rating_scale: float | None = None) -> Stream:
    """Return the stream of a data set; events without an item (searches) are left out.

    Args:
        data: The data set.
        repeats: Whether items repeat. The default is that of the data's format, or else whether over 1 % of the events
            repeat a (user, item) pair.
        rating_scale: The highest rating; by default the first of 1, 5, 10 and 100 that no rating exceeds.
    """
    interactions = [event for event in data.interactions if event.item_id is not None]
    users, items = Vocabulary(), Vocabulary()
    user = np.array([users.add(event.user_id) for event in interactions], np.int32)
    item = items.add_all([event.item_id or "" for event in interactions])
    fresh = np.zeros(len(interactions), np.bool_)
    fresh[np.unique(user.astype(np.int64) * max(len(items), 1) + item, return_index=True)[1]] = True
    stars = np.array([_stars(event) for event in interactions], np.float64)
    scale = scale_of(stars) and (rating_scale or scale_of(stars))
    low, high = _bounds(stars)
    if repeats is None:
        repeats = data.repeats
    if repeats is None:
        repeats = float(np.mean(~fresh)) > _NOTICEABLE if interactions else False
    rating = (stars - low) / (high - low) if scale else np.full(len(interactions), np.nan)
    return Stream(
        name=data.name,
        users=users.names,
        items=items.names,
        user=user,
        item=item,
        at_ms=np.array([event.occurred_at for event in interactions], np.int64),
        rating=rating,
        positive=_positive(interactions, stars, scale),
        fresh=fresh,
        events=[_event(event, float(share), scale) for event, share in zip(interactions, rating, strict=True)],
        has_ratings=bool(scale),
        low=low,
        high=high,
        repeats=repeats,
        catalogue=data.items,
    )


def scale_of(stars: NDArray[np.float64]) -> float:
    """Return the highest rating of the scale: 1, 5, 10 or 100.

    It is 0 where the values are no ratings: without values, with equal values, or with counts.
    """
    low, high = _bounds(stars)
    if not low < high:
        return 0.0
    return next((scale for scale in _SCALES if high <= scale), 0.0)


def _bounds(stars: NDArray[np.float64]) -> tuple[float, float]:
    values = stars[~np.isnan(stars)]
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)


def _stars(event: Interaction) -> float:
    return event.value if event.action == "rate" and event.value is not None else np.nan


def _positive(interactions: list[Interaction], stars: NDArray[np.float64], scale: float) -> NDArray[np.bool_]:
    if scale:
        with np.errstate(invalid="ignore"):
            return np.asarray(stars >= LIKED * scale, np.bool_)
    return np.array(
        [event.action == "rate" or weight_of(event.action, event.value) > 0 for event in interactions], np.bool_
    )


def _event(event: Interaction, share: float, scale: float) -> ModelEvent:
    if event.action != "rate":
        weight = weight_of(event.action, event.value)
    elif scale and event.value is not None:
        weight = weight_of("rate", event.value * _WEIGHED_SCALE / scale)
    else:
        weight = 1.0
    rating = None if np.isnan(share) else share
    return ModelEvent(event.user_id, event.item_id or "", event.occurred_at, weight, rating)
