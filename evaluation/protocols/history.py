"""User histories up to the current event, for queries."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from evaluation.protocols.stream import Stream
from models.base import ModelEvent, ModelQuery

RECENT = 50
"""Number of recent items in a query, newest first."""


class Histories:
    """Histories of all users, extended with every learned event."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._events: dict[int, list[ModelEvent]] = {}
        self._items_by_user: dict[int, array[int]] = {}
        self._ids: dict[int, set[str]] = {}

    def add(self, index: int, event: ModelEvent) -> None:
        """Add an event of the stream in the form that the models learned."""
        user = int(self._stream.user[index])
        self._events.setdefault(user, []).append(event)
        self._items_by_user.setdefault(user, array("i")).append(int(self._stream.item[index]))
        self._ids.setdefault(user, set()).add(event.item_id)

    def query(self, user: int, at_ms: int) -> ModelQuery:
        """Return the query for a user at a time; it excludes the user's items unless items repeat."""
        return ModelQuery(
            self._stream.users[user],
            _newest_first(self._events.get(user, [])[-RECENT:]),
            frozenset() if self._stream.repeats else frozenset(self._ids.get(user, ())),
            at_ms,
        )

    def history_query(self, user: int, at_ms: int, *, known_count: int, read_at_ms: int | None = None) -> ModelQuery:
        """Return the query that carries a history, the user's last `known_count` events, for models that lack some."""
        events = self._events.get(user, [])
        last_events = events[max(len(events) - known_count, 0) :]
        return ModelQuery(
            self._stream.users[user],
            _newest_first(last_events[-RECENT:]),
            at_ms=at_ms,
            read_at_ms=read_at_ms,
            history=last_events,
        )

    def touched_items(self, user: int) -> NDArray[np.int32]:
        """Return the items to exclude for a user."""
        item_indices = self._items_by_user.get(user)
        if item_indices is None or self._stream.repeats:
            return np.empty(0, np.int32)
        return np.array(item_indices, np.int32)

    def count(self, user: int) -> int:
        """Return the number of a user's events."""
        return len(self._events.get(user, ()))

    def gap_ms(self, user: int, at_ms: int) -> int:
        """Return the time since a user's last event in ms, or -1 before the first."""
        events = self._events.get(user)
        return at_ms - events[-1].at_ms if events else -1


def _newest_first(events: list[ModelEvent]) -> tuple[tuple[str, float], ...]:
    return tuple((event.item_id, event.weight) for event in reversed(events))
