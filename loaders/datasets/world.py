"""Synthetic data set of the demo: items in a few cities, users with interests, and two weeks of interactions.

The same seed and time give the same data set, including event ids; a later time shifts the same interactions.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from domain.timestamp import DAY_MS, HOUR_MS
from loaders.dataset import Dataset, event_id
from loaders.datasets.world_catalogue import catalogue
from loaders.datasets.world_people import DemoPerson, people
from schemas.types import Action, Interaction, Item, Profile

DAYS = 14
USERS = 200
PER_USER = 100
_HOUR_WEIGHTS = (2, 1, 1, 1, 1, 2, 4, 7, 9, 7, 6, 6, 8, 7, 6, 6, 7, 9, 12, 14, 15, 13, 9, 5)
_SESSION_LOOKS = 8
_KEENER: tuple[Action, ...] = ("like", "save", "share", "rate")
_KEENER_WEIGHTS = (8, 5, 2, 5)
_STRAY = 0.12
"""Share of viewed items that are independent of the user's interests."""
_RETURNED_TO = frozenset({"places"})
"""Categories of items that people go back to; a film is clicked once."""


def build(*, seed: int, now_ms: int, users: int = USERS) -> Dataset:
    """Return the data set as of a time.

    Args:
        seed: Seed of the random generator.
        now_ms: End of the two weeks in ms since the epoch.
        users: Number of users, with about PER_USER interactions each.
    """
    rng = random.Random(seed)  # noqa: S311 - reproducible data, not a secret
    items = catalogue(rng, now_ms=now_ms)
    appeal = {item.item_id: rng.lognormvariate(0.0, 0.8) for item in items}
    crowd = people(rng, count=users)
    story = [event for person in crowd for event in _Life(person, items, appeal, rng, now_ms).events()]
    story.sort(key=lambda event: (event.occurred_at, event.event_id))
    return Dataset(
        name="world",
        items=items,
        profiles=[_profile(person, seed=seed, at_ms=now_ms - DAYS * DAY_MS) for person in crowd],
        interactions=story,
        labels={person.user_id: person.label for person in crowd},
    )


def affinity(person: DemoPerson, item: Item) -> float:
    """Return a person's affinity to an item: the interest in its topics times the use of its category."""
    if item.city not in (None, person.city.name):
        return 0.0
    taste = sum(person.tastes.get(topic, 0.0) for topic in item.topics)
    return taste * person.categories[item.category]


@dataclass(slots=True)
class _Life:
    """Generator of one person's interactions, session by session."""

    person: DemoPerson
    items: list[Item]
    appeal: dict[str, float]
    rng: random.Random
    now_ms: int

    def events(self) -> list[Interaction]:
        near = [item for item in self.items if item.city in (None, self.person.city.name)]
        liking = {item.item_id: affinity(self.person, item) for item in near}
        weights = [liking[item.item_id] * self.appeal[item.item_id] for item in near]
        peak = max(liking.values())
        interactions: list[Interaction] = []
        past_items: set[str] = set()
        while len(interactions) < self.person.activity * PER_USER:
            session = f"{self.person.user_id}-{len(interactions)}"
            at_ms = self._session_start()
            for _ in range(self.rng.randint(2, _SESSION_LOOKS)):
                stray = self.rng.random() < _STRAY
                item = self.rng.choice(near) if stray else self.rng.choices(near, weights)[0]
                if item.item_id in past_items:
                    continue
                actions = self._actions(liking[item.item_id] / peak)
                for action in actions:
                    at_ms += self.rng.randint(2_000, 60_000)
                    interactions.append(self._event(len(interactions), session, at_ms, action, item))
                if "click" in actions and item.category not in _RETURNED_TO:
                    past_items.add(item.item_id)
        return interactions

    def _session_start(self) -> int:
        """Return a random time of the last days by the hourly activity profile, at least an hour before now."""
        day = self.rng.randint(1, DAYS)
        hour = self.rng.choices(range(24), _HOUR_WEIGHTS)[0]
        midnight_ms = self.now_ms - self.now_ms % DAY_MS - day * DAY_MS
        return min(midnight_ms + hour * HOUR_MS + self.rng.randrange(HOUR_MS), self.now_ms - HOUR_MS)

    def _actions(self, liking: float) -> list[Action]:
        draw = self.rng.random()
        if liking < 0.05 and draw < 0.4:
            return ["skip"]
        if draw > 0.97:
            return ["search"]
        actions: list[Action] = ["view"]
        if draw < 0.25 + 0.6 * liking:
            actions.append("click")
            if self.rng.random() < 0.15 + 0.35 * liking:
                actions += self.rng.choices(_KEENER, _KEENER_WEIGHTS)
        return actions

    def _event(self, number: int, session: str, at_ms: int, action: Action, item: Item) -> Interaction:
        is_search = action == "search"
        return Interaction(
            event_id=event_id(at_ms, "world", self.person.user_id, number),
            user_id=self.person.user_id,
            item_id=None if is_search else item.item_id,
            action=action,
            occurred_at=at_ms,
            value=float(self.rng.randint(3, 5)) if action == "rate" else None,
            query=f"{item.topics[0]} {item.category}" if is_search else None,
            session_id=session,
            context={"device_type": self.person.device, "surface": "feed"},
        )


def _profile(person: DemoPerson, *, seed: int, at_ms: int) -> Profile:
    return Profile(
        event_id=event_id(at_ms, "world", seed, "profile", person.user_id),
        user_id=person.user_id,
        segment=person.segment,
        topics=list(person.tastes)[:1],
        timezone=person.city.timezone,
        locale=person.city.locale,
        city=person.city.name,
        occurred_at=at_ms,
    )
