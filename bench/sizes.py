"""The formula of memory and disk by users, items and links, as docs/sizing.md has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from streams.core.user.user_state import UserState
from topics.topic import PARTITIONS

_USER, _LABEL, _EVENT, _EVENT_ID, _ITEM, _TODAY = 320, 19, 21, 10, 3, 20
"""Bytes of a user's encoded state: on its own, and for each label, recent event, event id, different item and item of
the last day, besides the id of the item."""
_OBJECT, _OBJECT_LABEL, _OBJECT_EVENT, _OBJECT_EVENT_ID, _OBJECT_ITEM, _OBJECT_TODAY = 3_100, 100, 116, 70, 66, 130
"""The same for a state as an object in memory."""
_SITUATION, _OBJECT_SITUATION = 28, 300
"""Bytes of a situation, besides its labels: encoded, and as an object."""
_LINK, _ROOM = 20, 1.65
"""Bytes of a link in the links role, and the room of rows, which grow by doubling, by their length."""
_LINKED_ITEM = 48
"""Bytes of an item in the rows of each partition, whether it is linked or not; the arrays grow by doubling."""


@dataclass(frozen=True, slots=True)
class StreamSize:
    """The numbers that memory and disk depend on."""

    users: int
    items: int
    links: int
    item_id_bytes: float
    """Mean length of an item's id."""
    user_events: float
    """Mean number of a user's recent events, 100 at most."""
    user_event_ids: float
    """Mean number of a user's events whose ids are remembered: 1,024, and more within a day."""
    user_items: float
    """Mean number of a user's different items, 1,000 at most; an item with several events counts twice."""
    user_day_items: float
    """Mean number of a user's items on the last day with an event."""
    user_labels: float
    """Mean number of categories, topics and sources of a user's items, up to 200 each, and of labels in situations."""
    user_situations: float
    """Mean number of a user's situations, 12 at most."""

    @property
    def user_bytes(self) -> float:
        """Return the bytes of a user's encoded state."""
        return (
            _USER
            + self.user_labels * _LABEL
            + self.user_situations * _SITUATION
            + self.user_events * (self.item_id_bytes + _EVENT)
            + self.user_event_ids * _EVENT_ID
            + self.user_items * (self.item_id_bytes + _ITEM)
            + self.user_day_items * _TODAY
        )

    @property
    def object_bytes(self) -> float:
        """Return the memory of a user's state as an object, as in the cache of a feed worker."""
        return (
            _OBJECT
            + self.user_labels * _OBJECT_LABEL
            + self.user_situations * _OBJECT_SITUATION
            + self.user_events * (self.item_id_bytes + _OBJECT_EVENT)
            + self.user_event_ids * _OBJECT_EVENT_ID
            + self.user_items * (self.item_id_bytes + _OBJECT_ITEM)
            + self.user_day_items * _OBJECT_TODAY
        )

    @property
    def links_bytes(self) -> float:
        """Return the memory of the rows of all partitions, in one process of the links role."""
        return self.links * _LINK * _ROOM + self.items * _LINKED_ITEM * PARTITIONS


def size_of(users: Sequence[bytes], items: Sequence[str], *, links: int) -> StreamSize:
    """Return the size of a stream.

    Args:
        users: The encoded states of its users.
        items: The ids of its items.
        links: Number of links between its items.
    """
    states = [*map(msgspec.msgpack.Decoder(UserState).decode, users)]
    return StreamSize(
        users=len(states),
        items=len(items),
        links=links,
        item_id_bytes=float(np.mean([len(name.encode()) for name in items])),
        user_events=float(np.mean([len(state.recent) for state in states])),
        user_event_ids=float(np.mean([len(state.event_ids) for state in states])),
        user_items=float(np.mean([len(state.seen) + len(state.visits) for state in states])),
        user_day_items=float(np.mean([len(state.today) for state in states])),
        user_labels=float(np.mean([sum(map(len, _affinities(state))) for state in states])),
        user_situations=float(np.mean([len(state.situation_affinities) for state in states])),
    )


def _affinities(state: UserState) -> list[dict[str, float]]:
    return [state.categories, state.topics, state.sources, *state.situation_affinities.values()]
