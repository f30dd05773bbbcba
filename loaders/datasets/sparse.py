"""Generated sparse streams: ratings of few users on many items, as of a shop, by name instead of by path.

    sparse-shop-1    the shape `shop` with the seed 1

Most items have one or two ratings. An item appears at some time, and its popularity, which is distributed by a power
law, then fades, so that the popular items drift. Users come and go in sittings of some ratings on one day. A small
share of the choices is from a user's own groups of items: the only collaborative structure. Times are whole days, as
in published data of shops.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from domain.timestamp import DAY_MS
from loaders.dataset import Dataset, event_id
from schemas.types import Interaction

PREFIX = "sparse-"
_START_MS = 1_104_537_600_000
_STARS, _STAR_SHARES = (1.0, 2.0, 3.0, 4.0, 5.0), (0.06, 0.05, 0.09, 0.2, 0.6)
_GROUPS, _OWN_GROUPS = 60, 3
"""Number of groups of items, and of those from which a user's own choices are."""
_PAUSE_DAYS = 90.0
"""Mean time between two sittings of a user."""
_LEAST_RATINGS, _SPREAD = 5, 0.7
"""Least number of a user's ratings, and the deviation of its logarithm."""
_GROWTH = 3.0
"""Power of time with which users and items accumulate."""
_WEEK_DAYS = 7
_TRIES = 8
"""Draws of an item that the user has not rated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Shape of a stream."""

    ratings: int
    users: int
    items: int
    """Number of items in the catalogue, of which about half get a rating."""
    days: int
    exponent: float
    """Exponent of the power law of popularity by rank."""
    life_days: float
    """Median time in days in which an item's popularity falls to 1/e."""
    own_share: float
    """Share of choices from the user's own groups."""
    sitting: float
    """Mean number of ratings on one day."""


SHAPES: Mapping[str, Shape] = {
    "shop": Shape(
        ratings=36_000, users=2_200, items=36_000, days=3_650, exponent=0.55, life_days=1_500, own_share=0.15, sitting=3
    ),
    "fads": Shape(
        ratings=36_000, users=2_200, items=60_000, days=3_650, exponent=0.7, life_days=300, own_share=0.1, sitting=3
    ),
    "hauls": Shape(
        ratings=24_000, users=2_600, items=36_000, days=1_000, exponent=0.6, life_days=700, own_share=0.3, sitting=6
    ),
    "small": Shape(
        ratings=8_000, users=700, items=8_000, days=2_000, exponent=0.55, life_days=1_500, own_share=0.1, sitting=3
    ),
}
"""Shapes by name."""


def matches(path: Path) -> bool:
    """Return whether a path is the name of a generated stream and not of a file."""
    return not path.exists() and _shape_and_seed(path.name) is not None


def read(path: Path) -> Dataset:
    """Generate the stream of a name."""
    shape_and_seed = _shape_and_seed(path.name)
    if shape_and_seed is None:
        raise ValueError(f"{path.name} is no generated stream")
    shape, seed = shape_and_seed
    return build(SHAPES[shape], seed=seed, name=path.name)


def build(shape: Shape, *, seed: int, name: str = "sparse") -> Dataset:
    """Return a stream; the same shape and seed give the same one, including event ids.

    Args:
        shape: The shape of the stream.
        seed: Seed of the random generator.
        name: Name of the data set.
    """
    draw = np.random.default_rng((len(PREFIX), seed))
    shelf = _Shelf(shape, draw)
    own = draw.integers(0, _GROUPS, (shape.users, _OWN_GROUPS))
    stars = draw.choice(_STARS, shape.ratings, p=_STAR_SHARES).tolist()
    rated_items: list[set[int]] = [set() for _ in range(shape.users)]
    interactions: list[Interaction] = []
    for day, user, count in _sittings(shape, draw):
        for _ in range(count):
            item = shelf.choose(day, own[user], rated_items[user])
            if item is not None and len(interactions) < shape.ratings:
                rated_items[user].add(item)
                at_ms, number = _START_MS + day * int(DAY_MS), len(interactions)
                interactions.append(
                    Interaction(
                        event_id=event_id(at_ms, name, number),
                        user_id=f"user-{user}",
                        item_id=f"item-{item}",
                        action="rate",
                        value=stars[number],
                        occurred_at=at_ms,
                    )
                )
    return Dataset(name=name, items=[], profiles=[], interactions=interactions, repeats=False)


class _Shelf:
    """The items, ordered by group, with their popularity in a week."""

    def __init__(self, shape: Shape, draw: np.random.Generator) -> None:
        self._shape, self._draw, self._week = shape, draw, -1
        self._bounds = np.searchsorted(np.sort(draw.integers(0, _GROUPS, shape.items)), np.arange(_GROUPS + 1))
        self._peak = (1.0 + draw.permutation(shape.items)) ** -shape.exponent
        self._birth_days = shape.days * (draw.random(shape.items) ** (1 / _GROWTH) - 1 / 6)
        self._life = shape.life_days * draw.lognormal(0.0, 0.8, shape.items)
        self._sums: NDArray[np.float64] = np.zeros(shape.items + 1)

    def choose(self, day: int, groups: NDArray[np.int64], rated_items: set[int]) -> int | None:
        """Return an item that is not rated yet; None when draws find only rated ones."""
        if day // _WEEK_DAYS != self._week:
            age = day - self._birth_days
            popularity = np.where(age >= 0, self._peak * np.exp(-np.maximum(age, 0.0) / self._life), 0.0)
            self._sums[1:], self._week = np.cumsum(popularity), day // _WEEK_DAYS
        for _ in range(_TRIES):
            low, high = 0.0, self._sums[-1]
            if self._draw.random() < self._shape.own_share:
                group = groups[self._draw.integers(_OWN_GROUPS)]
                low, high = self._sums[self._bounds[group : group + 2]]
            item = int(np.searchsorted(self._sums, low + (high - low) * self._draw.random(), side="right")) - 1
            if item < self._shape.items and item not in rated_items:
                return item
        return None


def _sittings(shape: Shape, draw: np.random.Generator) -> Iterator[tuple[int, int, int]]:
    """Yield (day, user, number of ratings), in the order of time."""
    activity = draw.lognormal(0.0, _SPREAD, shape.users)
    counts = np.maximum(draw.multinomial(shape.ratings, activity / activity.sum()), _LEAST_RATINGS)
    first = shape.days * draw.random(shape.users) ** (1 / _GROWTH)
    sittings = []
    for user, total in enumerate(counts.tolist()):
        day, rest = float(first[user]), total
        while rest:
            count = min(rest, int(draw.geometric(1 / shape.sitting)))
            sittings.append((int(day), user, count))
            rest -= count
            day += draw.exponential(_PAUSE_DAYS)
            if day >= shape.days:
                day = first[user] + (shape.days - first[user]) * draw.random()
    yield from sorted(sittings)


def _shape_and_seed(name: str) -> tuple[str, int] | None:
    shape, _, seed = name.removeprefix(PREFIX).partition("-")
    return (shape, int(seed)) if name.startswith(PREFIX) and shape in SHAPES and seed.isdecimal() else None
