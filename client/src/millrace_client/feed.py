"""Feeds, as the API returns them."""

from __future__ import annotations

from typing import Any

import msgspec


class FeedItem(msgspec.Struct, frozen=True):
    """One ranked item; `parts` sum to its score; `item` is its catalog entry, None if the item was deleted."""

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
    """The time of the newest event that the feed reflects."""
    model: str
    fallback: bool
    """Whether this is the non-personalized feed, since the user has no feed yet."""
    items: list[FeedItem]
    reflects_after: bool | None = None
    """Whether it reflects the interaction that the request named; None if it named none."""


feed_decoder = msgspec.json.Decoder(Feed)


def feed_query(user_id: str, limit: int | None, after: str | None = None) -> dict[str, str | int]:
    """Return the query parameters for reading a feed.

    Args:
        user_id: The user.
        limit: Maximum number of items (1 to 1,000); None for all.
        after: The token of an interaction that the feed should reflect.

    >>> feed_query("ann", 5), feed_query("ann", None)
    ({'user_id': 'ann', 'limit': 5}, {'user_id': 'ann'})
    """
    parameters = {"user_id": user_id, "limit": limit, "after": after}
    return {name: value for name, value in parameters.items() if value is not None}
