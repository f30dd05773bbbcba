"""Feeds, as the API returns them."""

from __future__ import annotations

from typing import Any

import msgspec

from millrace_client.event import Impression, ShownItem


class FeedItem(msgspec.Struct, frozen=True):
    """One ranked item; `parts` sum to its score; `item` is its catalog entry, None if the item was deleted.

    `propensity` is the probability with which its place shows it; None where the feed does not explore.
    """

    item_id: str
    score: float
    source: str
    reason: str
    parts: dict[str, float]
    item: dict[str, Any] | None
    propensity: float | None = None


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
    request_id: str | None = None
    """The request that it answers; None for a feed of a stream."""

    def impression(self, *, surface: str = "", count: int | None = None) -> Impression:
        """Return the event that reports the feed as shown, with its request, positions and propensities.

        Args:
            surface: Where it was shown, such as `home`.
            count: Number of items that were shown, from the first on; None for all.

        >>> item = FeedItem(item_id="i1", score=1.0, source="new", reason="", parts={}, item=None, propensity=0.25)
        >>> feed = Feed(user_id="ann", version="1-1", generated_at=0, age_ms=0, watermark=0, model="m", fallback=False,
        ...             items=[item])
        >>> feed.impression().items
        [ShownItem(item_id='i1', position=0, propensity=0.25)]
        """
        items = [
            ShownItem(item_id=one.item_id, position=position, propensity=one.propensity)
            for position, one in enumerate(self.items[:count])
        ]
        return Impression(user_id=self.user_id, request_id=self.request_id, items=items, surface=surface)


feed_decoder = msgspec.json.Decoder(Feed)


def feed_query(
    user_id: str, limit: int | None, after: str | None = None, surface: str | None = None
) -> dict[str, str | int]:
    """Return the query parameters for reading a feed.

    Args:
        user_id: The user.
        limit: Maximum number of items (1 to 1,000); None for all.
        after: The token of an interaction that the feed should reflect.
        surface: The surface whose kinds of items are wanted; None for that of the deployment.

    >>> feed_query("ann", 5), feed_query("ann", None)
    ({'user_id': 'ann', 'limit': 5}, {'user_id': 'ann'})
    """
    parameters = {"user_id": user_id, "limit": limit, "after": after, "surface": surface}
    return {name: value for name, value in parameters.items() if value is not None}
