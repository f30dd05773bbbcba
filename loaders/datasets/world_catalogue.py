"""Catalogue of the synthetic data set: places and workshops in cities, music and movies without a location."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import h3

from domain.timestamp import HOUR_MS
from loaders.datasets.world_vocabulary import (
    CITIES,
    DESCRIPTIONS,
    FACETS,
    FIRST_WORDS,
    INTERESTS,
    PUBLISHERS,
    SECOND_WORDS,
    TITLES,
    DemoCity,
    Interest,
)
from schemas.types import Item

CELL_RESOLUTION = 9
"""H3 resolution of an item's cell: 0.1 km², a city block or two."""
_EVERYWHERE = {"music": 10, "movies": 8}
"""Numbers of music pieces and movies per interest."""
_SPREAD_DEGREES = 0.03
_AGE_DAYS = 90


def catalogue(rng: random.Random, *, now_ms: int) -> list[Item]:
    """Return all items, in a stable order."""
    names = [f"{first} {second}" for first in FIRST_WORDS for second in SECOND_WORDS]
    rng.shuffle(names)
    maker = _Maker(rng, iter(names), now_ms)
    return [item for interest in INTERESTS for item in maker.items(interest)]


@dataclass(slots=True)
class _Maker:
    rng: random.Random
    names: Iterator[str]
    now_ms: int

    def items(self, interest: Interest) -> Iterator[Item]:
        for category, count in _EVERYWHERE.items():
            for number in range(count):
                pattern = TITLES[category][number % len(TITLES[category])]
                yield self._item(interest, category, pattern.format(next(self.names)))
        for city in CITIES:
            for kind in interest.place:
                yield self._item(interest, "places", f"{next(self.names)} {kind}", city=city)
            for title in interest.workshop:
                yield self._item(interest, "workshops", title, city=city)

    def _item(self, interest: Interest, category: str, title: str, *, city: DemoCity | None = None) -> Item:
        facet = self.rng.choice(FACETS[category])
        text = self.rng.choice(DESCRIPTIONS[category]).format(
            facet=facet,
            subject=interest.subject,
            city=city.name if city else "",
            quarter=self.rng.choice(city.quarters) if city else "",
        )
        where = f"{_slug(city.name)}-" if city else ""
        return Item(
            item_id=f"{category}-{where}{_slug(title)}",
            category=category,
            title=title,
            description=text,
            topics=[interest.name, facet],
            source=self.rng.choice(PUBLISHERS[category]),
            city=city.name if city else None,
            cell=self._cell(city) if city else None,
            price=float(self.rng.randint(3, 18) * 5) if category == "workshops" else None,
            created_at=self.now_ms - self.rng.randint(1, _AGE_DAYS * 24) * (HOUR_MS),
        )

    def _cell(self, city: DemoCity) -> str:
        latitude = city.latitude + self.rng.uniform(-_SPREAD_DEGREES, _SPREAD_DEGREES)
        longitude = city.longitude + self.rng.uniform(-_SPREAD_DEGREES, _SPREAD_DEGREES)
        return str(h3.latlng_to_cell(latitude, longitude, CELL_RESOLUTION))


def _slug(title: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in title.replace("'", "")).lower().split())
