"""The feeds behind impressions: for each the newest feed of the archive that held one of its items by then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import asyncpg

from domain.timestamp import utc_time
from infra.postgres.pool import write_errors
from infra.redis.stores.feed_codec import unpack
from infra.redis.stores.feed_store import DEFAULT_FEED
from schemas.types import Feed

_LAST_FEEDS = 20
"""Feeds of a user before an impression that are looked through for its items."""
_FEEDS = """
SELECT wanted.number, found.feed
FROM unnest($1::integer[], $2::text[], $3::timestamptz[], $4::text[]) AS wanted (number, user_id, at, item_ids),
LATERAL (
    SELECT feed FROM (
        SELECT feed, items, generated_at FROM feed_history
        WHERE user_id = wanted.user_id AND generated_at <= wanted.at ORDER BY generated_at DESC LIMIT $5
    ) AS last_feeds
    WHERE items && string_to_array(wanted.item_ids, E'\n') ORDER BY generated_at DESC LIMIT 1
) AS found
"""
_CATEGORIES = "SELECT item_id, category FROM items WHERE item_id = ANY($1)"


class ShownList(NamedTuple):
    """Items as a user saw them together."""

    user_id: str
    at_ms: int
    """Time of the impression, in ms since the epoch."""
    item_ids: tuple[str, ...]


class ShownFeeds:
    """Reads the feeds and the items of the archive."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def feeds(self, lists: Sequence[ShownList]) -> list[Feed | None]:
        """Return the feed of each list: the user's own, or else the default feed; None if neither held an item.

        Raises:
            StoreError: PostgreSQL does not answer.
        """
        own = await self._newest({number: (shown_list.user_id, shown_list) for number, shown_list in enumerate(lists)})
        others = {number: (DEFAULT_FEED, shown_list) for number, shown_list in enumerate(lists) if number not in own}
        feeds = own | await self._newest(others)
        return [feeds.get(number) for number in range(len(lists))]

    async def categories(self, item_ids: Sequence[str]) -> dict[str, str]:
        """Return the category of each item that the archive knows.

        Raises:
            StoreError: PostgreSQL does not answer.
        """
        with write_errors("reading the categories of items"):
            rows = await self._pool.fetch(_CATEGORIES, list(item_ids))
        return {row["item_id"]: row["category"] for row in rows}

    async def _newest(self, lookups: Mapping[int, tuple[str, ShownList]]) -> dict[int, Feed]:
        """Return feeds by number, given the owner and the list of each; numbers without a feed are missing."""
        if not lookups:
            return {}
        columns: tuple[list[Any], ...] = (
            list(lookups),
            [owner for owner, _ in lookups.values()],
            [utc_time(shown_list.at_ms) for _, shown_list in lookups.values()],
            ["\n".join(shown_list.item_ids) for _, shown_list in lookups.values()],
        )
        with write_errors("reading the feeds that were shown"):
            rows = await self._pool.fetch(_FEEDS, *columns, _LAST_FEEDS)
        return {row["number"]: unpack(lookups[row["number"]][0], row["feed"]) for row in rows}
