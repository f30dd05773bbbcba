"""Users of the synthetic data set."""

from __future__ import annotations

import random
from dataclasses import dataclass

from loaders.datasets.world_vocabulary import AGE_BANDS, AGE_WEIGHTS, CITIES, INTERESTS, NAMES, DemoCity

_CATEGORIES = ("places", "music", "movies", "workshops")
_DEVICES = ("phone", "phone", "desktop", "tablet")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPerson:
    """A person with interests by topic (`tastes`), which add up to one, the strongest first."""

    user_id: str
    segment: str
    city: DemoCity
    tastes: dict[str, float]
    categories: dict[str, float]
    activity: float
    """Activity relative to the average, which is 1."""
    device: str

    @property
    def label(self) -> str:
        """Return a short description: interests and city."""
        return f"{', '.join(self.tastes)} · {self.city.name}"


ALEX = DemoPerson(
    user_id="alex",
    segment="25-34|f",
    city=CITIES[0],
    tastes={"jazz": 0.45, "hiking": 0.3, "cooking": 0.25},
    categories={"places": 1.0, "music": 1.0, "movies": 0.5, "workshops": 1.2},
    activity=0.6,
    device="phone",
)
"""The user of the demo: jazz, hiking and cooking workshops in New York."""


def people(rng: random.Random, *, count: int) -> list[DemoPerson]:
    """Return `count` people, ALEX first."""
    return [ALEX, *(_person(rng, number) for number in range(count - 1))][:count]


def _person(rng: random.Random, number: int) -> DemoPerson:
    again, index = divmod(number, len(NAMES))
    interests = rng.sample(INTERESTS, rng.randint(2, 4))
    shares = sorted((rng.expovariate(1.0) + 0.2 for _ in interests), reverse=True)
    return DemoPerson(
        user_id=NAMES[index] if not again else f"{NAMES[index]}-{again + 1}",
        segment=f"{rng.choices(AGE_BANDS, AGE_WEIGHTS)[0]}|{rng.choice('fm')}",
        city=rng.choice(CITIES),
        tastes={interest.name: share / sum(shares) for interest, share in zip(interests, shares, strict=True)},
        categories={category: 0.2 + rng.expovariate(1.0) for category in _CATEGORIES},
        activity=rng.triangular(0.3, 1.9, 0.8),
        device=rng.choice(_DEVICES),
    )
