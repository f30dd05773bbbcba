"""Lookup of the provenance of shown items: the feed in the archive that held them, and their category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from infra.postgres.shown_feeds import ShownFeeds, ShownList
from schemas.types import Feed
from streams.core.outcome.attribution import Provenance, ShownEntry
from streams.runtime.retry import retry_until_available

_MAX_ENTRIES = 2_000
_WAITS = "outcomes wait for PostgreSQL"


class ProvenanceLookup:
    """Looks up entries in batches, however long PostgreSQL is unavailable."""

    def __init__(self, feeds: ShownFeeds) -> None:
        self._feeds = feeds

    async def read(self, entries: Sequence[ShownEntry]) -> list[Provenance]:
        """Return the provenance of each entry."""
        provenances: list[Provenance] = []
        for start in range(0, len(entries), _MAX_ENTRIES):
            chunk = entries[start : start + _MAX_ENTRIES]
            provenances += await retry_until_available(partial(self._read, chunk), _WAITS)
        return provenances

    async def _read(self, entries: Sequence[ShownEntry]) -> list[Provenance]:
        items: dict[tuple[str, int], dict[str, None]] = {}
        for entry in entries:
            items.setdefault((entry.user_id, entry.shown_at), {})[entry.item_id] = None
        lists = [ShownList(*key, tuple(item_ids)) for key, item_ids in items.items()]
        feeds = dict(zip(items, await self._feeds.feeds(lists), strict=True))
        categories = await self._feeds.categories(sorted({entry.item_id for entry in entries}))
        return [
            provenance(feeds[entry.user_id, entry.shown_at], entry.item_id, entry.place, categories)
            for entry in entries
        ]


def provenance(feed: Feed | None, item_id: str, place: int, categories: Mapping[str, str]) -> Provenance:
    """Return the provenance of a shown item.

    Args:
        feed: The feed behind the impression, if it is known.
        item_id: The item; one that the feed did not hold has a category alone.
        place: Its place in the list that was shown, whose propensity is that of the feed.
        categories: Categories by item.
    """
    category = categories.get(item_id, "")
    source = None if feed is None else _source(feed, item_id)
    if feed is None or source is None:
        return Provenance(category=category)
    return Provenance(
        source=source,
        category=category,
        model=feed.model,
        policy=feed.policy,
        propensity=feed.propensities[place] if place < len(feed.propensities) else None,
        arms=feed.arms,
        features_version=feed.features_version,
    )


def _source(feed: Feed, item_id: str) -> str | None:
    for columns in (feed, feed.others):
        if columns is not None and item_id in columns.items:
            return columns.sources[columns.items.index(item_id)]
    return None
