"""Served feeds: the last feed of each user, and the outcomes of feeds.

A visit is one outcome: an item that a user opens was chosen from the feed of that time, and all actions on it within
half an hour count once, with the first positive one.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from domain.timestamp import MINUTE_MS
from models.blend.fallback import LISTED
from schemas.types import Feed
from streams.core.ranking.choice_set import ChoiceSet, shown_after

VISIT_MS = 30 * MINUTE_MS
"""Time after the opening of an item within which an action on it is attributed to that choice."""
USERS = 10_000
"""Users whose last feeds are in memory, at some 8 KB each; those ranked longest ago go first."""
_VISITS = 4
"""Visits in memory per user. Those without an outcome so far keep the feed from which the item was opened."""


@dataclass(frozen=True, slots=True)
class ServedFeed:
    """A feed as its user is shown it."""

    watermark: int
    """Time of the user's last event before it, in ms since the epoch."""
    generated_at: int
    """Time of its ranking, in ms since the epoch."""
    orders: tuple[tuple[int, tuple[str, ...]], ...]
    """The time since the watermark from which each order is shown, in ms, and its first items."""
    choice_set: ChoiceSet

    @classmethod
    def of(cls, feed: Feed, choice_set: ChoiceSet) -> ServedFeed:
        """Return a feed with its choice set.

        Args:
            feed: The feed.
            choice_set: The set of its items.
        """
        items = [*feed.items, *(feed.others.items if feed.others else ())]
        orders = (one for one in feed.orders if not one.surface)
        later = ((one.from_ms, tuple(items[index] for index in one.indices[:LISTED])) for one in orders)
        return cls(feed.watermark, feed.generated_at, ((0, tuple(feed.items[:LISTED])), *later), choice_set)

    def rank(self, item_id: str, at_ms: int) -> int:
        """Return the rank of an item, from 0; 10 beyond the list.

        Args:
            item_id: The item.
            at_ms: The time whose order counts, in ms since the epoch.
        """
        items = shown_after(self.orders, at_ms - self.watermark)
        return items.index(item_id) if item_id in items else LISTED


@dataclass(frozen=True, slots=True)
class FeedChoice:
    """The choice of an item from a feed."""

    item_id: str
    feed: ServedFeed
    at_ms: int
    """Time of the choice, in ms since the epoch: that of the first action of the visit."""

    @property
    def rank(self) -> int:
        """Return the rank that the item had, from 0; 10 beyond the list."""
        return self.feed.rank(self.item_id, self.at_ms)


@dataclass(slots=True)
class _Visit:
    """A visit of an item since its first action."""

    at_ms: int
    feed: ServedFeed | None
    """The feed at that time; None once the visit is an outcome."""


@dataclass(slots=True)
class _UserFeed:
    feed: ServedFeed
    visits: OrderedDict[str, _Visit] = field(default_factory=OrderedDict)


class ServedFeeds:
    """The last feeds of the users of one process."""

    def __init__(self, *, users: int = USERS) -> None:
        """Start without any feed.

        Args:
            users: Number of users whose last feeds are kept.
        """
        self._most = users
        self._users: OrderedDict[str, _UserFeed] = OrderedDict()
        self._default: ServedFeed | None = None

    def __contains__(self, user_id: str) -> bool:
        """Return whether a user's last feed is known."""
        return user_id in self._users

    def put(self, user_id: str, feed: ServedFeed) -> None:
        """Take a user's new feed in the place of the last one.

        Args:
            user_id: The user.
            feed: The feed.
        """
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = _UserFeed(feed)
        user.feed = feed
        self._users.move_to_end(user_id)
        if len(self._users) > self._most:
            self._users.popitem(last=False)

    def put_default(self, feed: ServedFeed) -> None:
        """Take the default feed, which users without a feed of their own are shown."""
        self._default = feed

    def forget_user(self, user_id: str) -> None:
        """Forget the feed of a user."""
        self._users.pop(user_id, None)

    def forget(self) -> None:
        """Forget the users' feeds: after a rebalance another process ranks them."""
        self._users.clear()

    def act(self, user_id: str, item_id: str, *, at_ms: int, is_positive: bool) -> FeedChoice | None:
        """Note an action of a user; the order of calls is that of the actions.

        Args:
            user_id: The user.
            item_id: The item acted on.
            at_ms: Time of the action, in ms since the epoch.
            is_positive: Whether the action is a positive one.

        Returns:
            The outcome, if the action is the first positive one of a visit, and no later than events that the feed
            knows already.
        """
        user = self._users.get(user_id)
        if user is None:
            if self._default is None:
                return None
            self.put(user_id, self._default)
            user = self._users[user_id]
        visit = user.visits.pop(item_id, None)
        if visit is None or at_ms - visit.at_ms > VISIT_MS:
            if user.feed is not self._default and at_ms < user.feed.watermark:
                return None
            visit = _Visit(at_ms, user.feed)
        outcome = None
        if is_positive and visit.feed is not None:
            outcome, visit.feed = FeedChoice(item_id, visit.feed, visit.at_ms), None
        user.visits[item_id] = visit
        if len(user.visits) > _VISITS:
            user.visits.popitem(last=False)
        return outcome
