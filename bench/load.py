"""Synthetic load: items and interactions. The same seed gives the same load."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.timestamp import DAY_MS
from loaders.dataset import event_id
from loaders.datasets.world_vocabulary import CITIES, FIRST_WORDS, INTERESTS, SECOND_WORDS
from schemas import limit
from schemas.types import Action, Interaction, Item

CATEGORIES = ("places", "music", "movies", "workshops", "products", "articles")
_ACTIONS: tuple[Action, ...] = ("view", "click", "like", "save", "share", "skip", "rate")
_ACTION_SHARES = (0.55, 0.25, 0.07, 0.04, 0.02, 0.05, 0.02)
_TOPICS_PER_ITEM = 2
LOYALTY = 0.6
"""Share of a user's interactions within the user's own category."""
_HISTORY_MS = 14 * DAY_MS


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a load."""

    events: int
    users: int
    items: int


def zipf(rng: np.random.Generator, ranks: int, count: int, *, exponent: float = 1.0) -> NDArray[np.int64]:
    """Return random ranks from 0, where rank r has a probability proportional to 1 / (r + 1)^exponent."""
    weights = np.cumsum(np.arange(1, ranks + 1, dtype=float) ** -exponent)
    samples: NDArray[np.int64] = np.searchsorted(weights, rng.random(count) * weights[-1], side="right")
    return samples


class EventLoad:
    """Interactions of users whose activity, like the popularity of items, is Zipf(1.0)."""

    def __init__(self, size: Size, *, now_ms: int, seed: int = 1, posts: bool = False) -> None:
        """Define a load.

        Args:
            size: Numbers of events, users and items.
            now_ms: End of the history in ms since the epoch.
            seed: Seed of the random generator.
            posts: Whether item ids are `post-` and a number, as in the video engine.
        """
        self.size, self.now_ms, self._seed, self._posts = size, now_ms, seed, posts

    def resized(self, size: Size, *, posts: bool = False) -> EventLoad:
        """Return the same load in another size."""
        return EventLoad(size, now_ms=self.now_ms, seed=self._seed, posts=posts)

    @cached_property
    def items(self) -> list[Item]:
        """Return the catalogue, with ids as long as those of the demo unless they are numbers."""
        rng = np.random.default_rng((self._seed, 0))
        ages_ms = rng.integers(1, 90 * DAY_MS, self.size.items)
        return [self._item(rank, int(age_ms), rng) for rank, age_ms in enumerate(ages_ms)]

    def user_id(self, rank: int) -> str:
        """Return the id of the user with this rank of activity, from 0."""
        return f"user{rank:06d}"

    @property
    def user_ids(self) -> list[str]:
        """Return the ids of all users."""
        return [self.user_id(rank) for rank in range(self.size.users)]

    def history(self) -> Iterator[Interaction]:
        """Yield the interactions of the two weeks until now."""
        step_ms = _HISTORY_MS / self.size.events
        users = zipf(np.random.default_rng((self._seed, 1)), self.size.users, self.size.events)
        yield from self.events(users, [int(self.now_ms - _HISTORY_MS + n * step_ms) for n in range(len(users))], 2)

    def one_event_each(self) -> Iterator[Interaction]:
        """Yield one event of every user, all within the last hour."""
        users = np.arange(self.size.users)
        yield from self.events(users, [self.now_ms - 3_600_000 + n // 100 for n in range(len(users))], 3)

    def events_of(self, users: list[int], *, at_ms: int) -> Iterator[Interaction]:
        """Yield one event of each of these users."""
        yield from self.events(np.array(users), [at_ms] * len(users), 5)

    def live(self, count: int, *, start_ms: int, step_ms: int, salt: int) -> list[Interaction]:
        """Return events at a constant rate with distinct times; `salt` distinguishes runs."""
        users = zipf(np.random.default_rng((self._seed, salt)), self.size.users, count)
        return list(self.events(users, [start_ms + n * step_ms for n in range(count)], salt))

    def events(self, users: NDArray[np.int64], at_ms: list[int], salt: int) -> Iterator[Interaction]:
        """Yield an event for each user's rank and time."""
        rng = np.random.default_rng((self._seed, 4, salt))
        count, kinds = len(users), len(CATEGORIES)
        item_ranks = zipf(rng, self.size.items, count)
        loyal = rng.random(count) < LOYALTY
        # Items take turns in their categories, so an item of the same popularity is near in each.
        items = np.where(
            loyal, np.minimum(item_ranks // kinds * kinds + users % kinds, self.size.items - 1), item_ranks
        )
        actions = rng.choice(len(_ACTIONS), count, p=_ACTION_SHARES)
        for number, (user, item, action, at) in enumerate(
            zip(users.tolist(), items.tolist(), actions.tolist(), at_ms, strict=True)
        ):
            action_name = _ACTIONS[action]
            yield Interaction(
                event_id=event_id(at, "bench", self._seed, salt, number),
                user_id=self.user_id(user),
                item_id=self.items[item].item_id,
                action=action_name,
                occurred_at=at,
                value=4.0 if action_name == "rate" else None,
                session_id=f"{user}-{at // DAY_MS}",
                context={"device_type": "phone", "surface": "feed"},
            )

    def _item(self, rank: int, age_ms: int, rng: np.random.Generator) -> Item:
        category = CATEGORIES[rank % len(CATEGORIES)]
        city = CITIES[rank % len(CITIES)].name
        title = f"{FIRST_WORDS[rank % len(FIRST_WORDS)]} {SECOND_WORDS[rank // len(FIRST_WORDS) % len(SECOND_WORDS)]}"
        topics = rng.choice(len(INTERESTS), _TOPICS_PER_ITEM, replace=False)
        slug = f"{category}-{city}-{title}-{rank}".lower().replace(" ", "-")
        return Item(
            item_id=f"post-{rank}" if self._posts else slug,
            category=category,
            title=title,
            description=f"{title}, a favourite of those who know {city}, is back with more of the same.",
            topics=[INTERESTS[topic].name for topic in topics.tolist()],
            source=f"{category}-guide",
            city=city,
            created_at=self.now_ms - age_ms,
            **(_offer(rank) if category == "products" else {}),
        )


def _offer(rank: int) -> dict[str, Any]:
    """Return the fields of a product that a shop sells."""
    price = 5.0 + rank % 200
    return {
        "kind": limit.PRODUCT,
        "price": price,
        "original_price": price * (1.0 + rank % 5 / 10),
        "rating": 3.0 + rank % 20 / 10,
        "reviews": 10 + rank % 500,
    }
