"""Active users of a worker: the users to whom scheduled triggers are sent, and whose feeds are ranked again.

Users are kept by the minute at which they would be ranked again, counted in the interval between two rankings, so that
a look at the clock costs nothing for all others; and by their strongest interests, so that a new item costs nothing for
those whom it does not fit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from heapq import nlargest
from itertools import islice
from typing import NamedTuple

from domain.timestamp import DAY_MS, MINUTE_MS
from domain.zone import zone_of
from schemas.types import Item, Trigger
from streams.core.params import TriggerParams
from streams.core.triggers.schedule import due_slots
from streams.core.triggers.trigger_id import new_item_trigger, rerank_trigger, scheduled_trigger
from streams.core.user.user_state import UserState

INTERESTS = 3
"""Number of a user's strongest topics and categories for which new items have the feed ranked again."""
NEW_ITEM_MS = DAY_MS
"""Age up to which an item that enters the catalog is new."""
USERS_PER_INTEREST, WAITING_USERS = 2_000, 10_000
"""Number of users of an interest who are ranked for a new item, those who acted last, and of users who may wait for it.
The others are ranked with their next event."""


class ActiveUser(NamedTuple):
    """The time zone and activity of a user. Times are in ms since the epoch."""

    timezone: str
    """Empty if the user has not stated it."""
    active_at: int
    triggered_at: int
    """Time of the newest slot that took effect."""
    reranked_at: int = -1
    """Time of the newest ranking on a trigger."""
    interests: tuple[str, ...] = ()
    """The strongest topics and categories, stated ones first."""
    city: str = ""
    """The city, in lower case; empty if it is unknown."""


FIELDS = (
    *("user_id", "timezone", "watermark", "cell_at", "profile_at", "triggered"),
    *("preferred", "topics", "categories", "city"),
)
"""The fields of a user's state that an active user derives from."""


def active_user(state: UserState) -> ActiveUser:
    """Return the active user for a state; only `FIELDS` of the state are read."""
    active_at = max(state.watermark, state.cell_at, state.profile_at)
    return ActiveUser(
        state.timezone,
        active_at,
        state.triggered.get("time", -1),
        state.triggered.get("rerank", -1),
        _interests(state),
        (state.city or "").lower(),
    )


def _interests(state: UserState) -> tuple[str, ...]:
    """Return the strongest interests of a user: those that were stated, and those that the actions tell."""
    affinities = [(value, name) for column in (state.topics, state.categories) for name, value in column.items()]
    strongest = [name for value, name in nlargest(INTERESTS, affinities) if value > 0]
    return tuple(dict.fromkeys([*state.preferred[:INTERESTS], *strongest]))


class ActiveUsers:
    """Active users by id. Users inactive for long are dropped, and return with their next event."""

    def __init__(self, params: TriggerParams) -> None:
        self._params = params
        self._users: dict[str, ActiveUser] = {}
        self._timezones: set[str] = set()
        self._rerank_minutes = max(params.rerank_ms // MINUTE_MS, 1) if params.rerank_ms else 0
        self._by_minute: defaultdict[int, dict[str, None]] = defaultdict(dict)
        """Users by the minute of their next ranking, modulo the interval; empty where none is due ever."""
        self._by_interest: dict[str, dict[str, None]] = {}
        self._new_items: dict[str, str] = {}
        """A new item for each user who waits to be ranked for it."""

    def __len__(self) -> int:
        return len(self._users)

    def put(self, user_id: str, user: ActiveUser) -> None:
        """Store the newest activity of a user."""
        previous = self._users.get(user_id)
        if previous is not None:
            self._discard(user_id, previous)
        self._users[user_id] = user
        for name in user.interests:
            self._by_interest.setdefault(name, {})[user_id] = None
        self._timezones.add(user.timezone)
        if self._rerank_minutes:
            self._by_minute[self._minute(user)][user_id] = None

    def restore(self, user_id: str, user: ActiveUser, *, now_ms: int) -> None:
        """Restore a user from storage, unless newer activity is known or the user is inactive."""
        if user_id not in self._users and not self._is_inactive(user, now_ms):
            self.put(user_id, user)

    def forget(self, user_id: str) -> None:
        """Remove a user."""
        if (user := self._users.get(user_id)) is not None:
            self._forget(user_id, user)

    def clear(self) -> None:
        """Remove all users."""
        self._users.clear()
        self._timezones.clear()
        self._by_minute.clear()
        self._by_interest.clear()
        self._new_items.clear()

    def arrive(self, item: Item, *, now_ms: int) -> None:
        """Note an item that has entered the catalog: the users whom it fits wait to be ranked for it.

        It fits those of whose strongest interests it has one, unless it is in another city than they. Its category
        counts where it has no topics.

        Args:
            item: The item.
            now_ms: The time, in ms since the epoch.
        """
        if item.private or now_ms - item.created_at > NEW_ITEM_MS:
            return
        city = (item.city or "").lower()
        for name in dict.fromkeys(item.topics or [item.category]):
            for user_id in islice(reversed(self._by_interest.get(name, {})), USERS_PER_INTEREST):
                if len(self._new_items) >= WAITING_USERS:
                    return
                if not city or self._users[user_id].city in ("", city):
                    self._new_items.setdefault(user_id, item.item_id)

    def due_new_items(self, now_ms: int, most: int) -> Iterator[Trigger]:
        """Yield triggers for users who wait to be ranked for a new item, but for those ranked a moment ago.

        Args:
            now_ms: The time, in ms since the epoch.
            most: Largest number of triggers.
        """
        due_users = (
            user_id
            for user_id in list(self._new_items)
            if now_ms - self._users[user_id].reranked_at >= self._params.window_ms
        )
        for user_id in islice(due_users, most):
            yield new_item_trigger(user_id, self._new_items.pop(user_id), now_ms)

    def due(self, after_ms: int, upto_ms: int) -> Iterator[Trigger]:
        """Yield the triggers due in (after, upto]; users may be noted meanwhile."""
        schedule, default_timezone = self._params.schedule, self._params.default_timezone
        slots = {
            name: zone_slots
            for name in self._timezones
            if (zone_slots := due_slots(schedule, zone_of(name, default_timezone), after_ms, upto_ms))
        }
        for user_id, user in list(self._users.items()) if slots else ():
            for slot in slots.get(user.timezone, ()):
                if self._is_inactive(user, slot.at_ms):
                    self._forget(user_id, user)
                elif slot.at_ms > user.triggered_at:
                    yield scheduled_trigger(user_id, slot)

    def due_rankings(self, after_ms: int, upto_ms: int) -> Iterator[Trigger]:
        """Yield the triggers of rankings due in (after, upto]; users may be noted meanwhile.

        A ranking is due at the first full minute after each multiple of the interval since the user's last event.
        """
        for minute in range(after_ms // MINUTE_MS + 1, upto_ms // MINUTE_MS + 1) if self._rerank_minutes else ():
            at_ms = minute * MINUTE_MS
            for user_id in list(self._by_minute.get(minute % self._rerank_minutes, ())):
                user = self._users.get(user_id)
                if user is None:
                    continue
                if self._is_inactive(user, at_ms):
                    self._forget(user_id, user)
                elif at_ms - user.active_at >= self._rerank_minutes * MINUTE_MS and at_ms > user.reranked_at:
                    yield rerank_trigger(user_id, at_ms)

    def _minute(self, user: ActiveUser) -> int:
        return -(-user.active_at // MINUTE_MS) % self._rerank_minutes

    def _discard(self, user_id: str, user: ActiveUser) -> None:
        """Remove a user from the indexes."""
        if self._rerank_minutes:
            self._by_minute[self._minute(user)].pop(user_id, None)
        for name in user.interests:
            users = self._by_interest[name]
            del users[user_id]
            if not users:
                del self._by_interest[name]

    def _is_inactive(self, user: ActiveUser, at_ms: int) -> bool:
        return at_ms - user.active_at > self._params.inactive_ms

    def _forget(self, user_id: str, user: ActiveUser) -> None:
        if self._users.get(user_id) is user:
            del self._users[user_id]
            self._discard(user_id, user)
            self._new_items.pop(user_id, None)
