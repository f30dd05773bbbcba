"""What is read: feeds, and the stream in which newer ones come."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec


class FeedItem(msgspec.Struct, frozen=True):
    """One ranked item; `parts` add up to its score, `item` is what the catalogue says of it, None when it is gone."""

    item_id: str
    score: float
    source: str
    reason: str
    parts: dict[str, float]
    item: dict[str, Any] | None


class Feed(msgspec.Struct, frozen=True):
    """A user's feed, best first. Times are in ms since the epoch."""

    user_id: str
    version: str
    generated_at: int
    age_ms: int
    watermark: int
    """The newest event that it reflects."""
    model: str
    fallback: bool
    """Whether it is everyone's, as this user has none of their own yet."""
    items: list[FeedItem]


class Told(NamedTuple):
    """One event of a stream."""

    id: str
    data: str


class Parser:
    """Makes events of a stream's lines, as browsers do (server-sent events)."""

    def __init__(self) -> None:
        self._id, self._data = "", list[str]()

    def line(self, line: str) -> Told | None:
        """Take a line, and return the event that it ends."""
        if not line:
            told = Told(self._id, "\n".join(self._data)) if self._data else None
            self._data = []
            return told
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id":
            self._id = value
        return None


def feed_query(user_id: str, limit: int | None) -> dict[str, str | int]:
    """Return the parameters that ask for a feed."""
    return {"user_id": user_id} if limit is None else {"user_id": user_id, "limit": limit}


feeds = msgspec.json.Decoder(Feed)
