"""Feeds of the past, as the archive keeps them: the feed that was served to a user at a time."""

from __future__ import annotations

from typing import Protocol

import msgspec

from domain.timestamp import utc_time
from infra.postgres.pool import LazyPool
from infra.redis.stores.feed_codec import unpack, version
from infra.redis.stores.feed_store import contributions, feed_at
from schemas.types import Feed

# A feed is replaced by one of newer features only, whatever the clocks of the workers say.
_AT = """
SELECT feed FROM feed_history WHERE user_id = $1 AND generated_at <= $2
ORDER BY features_version DESC, generated_at DESC LIMIT 1
"""


class PastItem(msgspec.Struct, frozen=True):
    """One item of a feed of the past."""

    position: int
    """1 for the first."""
    item_id: str
    score: float
    source: str
    """Feature group with the largest contribution."""
    reason: str
    parts: dict[str, float]
    """Contribution of each feature group; they add up to the score."""


class PastFeed(msgspec.Struct, frozen=True):
    """A user's feed as it was served at a time."""

    user_id: str
    at: int
    """The time asked for, in ms since the epoch."""
    version: str
    features_version: int
    generated_at: int
    """Time of the ranking, in ms since the epoch."""
    watermark: int
    """Newest event that the feed reflects, in ms since the epoch."""
    model: str
    items: list[PastItem]


class FeedHistory(Protocol):
    """Feeds by user and time."""

    async def read(self, user_id: str, at_ms: int) -> Feed | None:
        """Return a user's feed in the order that was shown at a time; None without any feed by then.

        Args:
            user_id: The user.
            at_ms: The time, in ms since the epoch.

        Raises:
            StoreError: the archive does not answer.
        """
        ...


class MemoryFeedHistory:
    """Feeds in memory."""

    def __init__(self) -> None:
        self.feeds: list[Feed] = []

    async def read(self, user_id: str, at_ms: int) -> Feed | None:
        """Return a user's feed of a time."""
        feeds = [feed for feed in self.feeds if feed.user_id == user_id and feed.generated_at <= at_ms]
        newest = max(feeds, key=lambda feed: (feed.features_version, feed.generated_at), default=None)
        return None if newest is None else feed_at(newest, at_ms)


class PostgresFeedHistory:
    """Feeds in PostgreSQL, written by the archive role."""

    def __init__(self, connections: LazyPool) -> None:
        self._connections = connections

    async def read(self, user_id: str, at_ms: int) -> Feed | None:
        """Return a user's feed of a time."""
        async with self._connections.read_connection("reading the history of feeds") as connection:
            data = await connection.fetchval(_AT, user_id, utc_time(at_ms))
        return None if data is None else feed_at(unpack(user_id, data), at_ms)


def past_feed(feed: Feed, at_ms: int) -> PastFeed:
    """Return a feed, in the order of a time, item by item.

    Args:
        feed: The feed, from `FeedHistory.read`.
        at_ms: The time asked for, in ms since the epoch.
    """
    columns = zip(feed.items, feed.scores, feed.sources, feed.reasons, strict=True)
    return PastFeed(
        user_id=feed.user_id,
        at=at_ms,
        version=version(feed),
        features_version=feed.features_version,
        generated_at=feed.generated_at,
        watermark=feed.watermark,
        model=feed.model,
        items=[PastItem(index + 1, *column, contributions(feed, index)) for index, column in enumerate(columns)],
    )
