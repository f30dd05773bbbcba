"""Unarchived events: what users did in the shop that the archive has not stored yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from schemas.types import Interaction

MAX_USERS = 10_000
"""Users whose events are kept: those who acted last."""
MAX_EVENTS = 200
"""Newest events that are kept of each user."""


class UnarchivedEvents:
    """The events that the role has read and not yet seen in the archive, by user.

    The archive stores an event some moments after this role reads it. Of clicks in quick succession, the home page
    after the last one must count those before it, too.
    """

    def __init__(self, max_users: int = MAX_USERS) -> None:
        """Start empty.

        Args:
            max_users: The number of users whose events are kept.
        """
        self._max_users = max_users
        self._by_user: dict[str, dict[str, Interaction]] = {}

    def add(self, events: Iterable[Interaction]) -> None:
        """Add events that were read; the least recently active users beyond the limit are dropped."""
        for event in events:
            user_events = self._by_user.pop(event.user_id, {})
            user_events[event.event_id] = event
            if len(user_events) > MAX_EVENTS:
                del user_events[min(user_events, key=lambda event_id: user_events[event_id].occurred_at)]
            self._by_user[event.user_id] = user_events
            if len(self._by_user) > self._max_users:
                del self._by_user[next(iter(self._by_user))]

    def of(self, user_id: str) -> Mapping[str, Interaction]:
        """Return a user's events by their ids."""
        return self._by_user.get(user_id, {})

    def discard(self, user_id: str, event_ids: Collection[str]) -> None:
        """Drop events of a user that are in the archive."""
        user_events = self._by_user.get(user_id, {})
        for event_id in event_ids:
            user_events.pop(event_id, None)
        if not user_events:
            self._by_user.pop(user_id, None)

    def erase(self, user_id: str) -> None:
        """Drop all events of a user."""
        self._by_user.pop(user_id, None)

    def __len__(self) -> int:
        return len(self._by_user)
