"""What is read: feeds."""

from __future__ import annotations

from typing import Any

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


def feed_query(user_id: str, limit: int | None) -> dict[str, str | int]:
    """Return the parameters that ask for a feed."""
    return {"user_id": user_id} if limit is None else {"user_id": user_id, "limit": limit}


feeds = msgspec.json.Decoder(Feed)
