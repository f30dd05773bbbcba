"""Feeds as the JSON of `GET /content`, kept in this process: entries are encoded once for each feed and order.

An answer is its head, with the user and the age, and the entries that are visible now, each with the current JSON of
its item. So items that change, or leave the catalogue, need no notice here, and requests that differ in `limit` or
`exclude` share the entries.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from operator import add
from typing import NamedTuple

import msgspec
from cachetools import LRUCache
from msgspec import structs

from api.context import ApiContext
from api.endpoints.visibility import ItemVisibility, VisibleFeed
from api.feeds.feed_content import content, joined
from infra.redis.stores.feed_codec import unpack
from infra.redis.stores.feed_store import DEFAULT_FEED, has_surface, shown_feed
from schemas.types import Feed

_OVERHEAD_BYTES = 600
_ENTRY_BYTES = 50
"""Memory of an entry beside its text."""
_NO_ITEM = b"null}"
_REFLECTS = {None: b"}", True: b',"reflects_after":true}', False: b',"reflects_after":false}'}
_encoder = msgspec.json.Encoder()
_answer = msgspec.json.Decoder(dict[str, msgspec.Raw])
_fields = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


class Sight(NamedTuple):
    """The entries of a feed that were visible lately: valid for one limit and one generation of the catalog."""

    limit: int
    generation: tuple[int, float]
    indices: Sequence[int]
    version: str


class RenderedFeed:
    """A feed in one of its orders."""

    def __init__(self, data: bytes, whole: Feed, now_ms: int, *, surface: str = "") -> None:
        """Encode the entries of the order for a time.

        Args:
            data: The packed feed.
            whole: The same, unpacked.
            now_ms: The time, in ms since the epoch.
            surface: The surface that shows the feed; empty for all kinds.
        """
        feed = shown_feed(whole, now_ms, surface=surface)
        self.surface, self.has_surface = surface, has_surface(whole, surface)
        """The surface, and whether the feed has orders of it; else it is shown in that of all kinds."""
        starts = [] if whole.user_id == DEFAULT_FEED else [whole.watermark + one.from_ms for one in whole.orders]
        self.data = data
        self.from_ms = max((start for start in starts if start <= now_ms), default=-math.inf)
        self.until_ms = min((start for start in starts if start > now_ms), default=math.inf)
        self.entries = _entries(feed)
        ids = list(map(sys.intern, feed.items))  # the same objects in all feeds
        none: list[float] = []
        self.outline = structs.replace(
            feed, items=ids, scores=none, sources=[], reasons=[], parts={}, propensities=none, ml_scores=none
        )
        self.sight: Sight | None = None
        self.size = len(data) + _OVERHEAD_BYTES + sum(map(len, self.entries)) + _ENTRY_BYTES * len(ids)

    async def visible(
        self,
        context: ApiContext,
        limit: int,
        excluded_ids: Collection[str] = (),
        *,
        accepts: Callable[[ItemVisibility], bool] | None = None,
    ) -> VisibleFeed:
        """Return the first visible entries, as `ApiContext.visible_feed`; looked at again once an item has changed.

        Args:
            context: The app's clients and caches.
            limit: Largest number of entries.
            excluded_ids: Items to leave out.
            accepts: Whether an item counts; None if all do.

        Raises:
            StoreError: the store did not answer.
        """
        if excluded_ids or accepts is not None:
            return await context.visible_feed(self.outline, limit, excluded_ids, accepts=accepts)
        sight, generation = self.sight, context.items.generation()
        if sight is not None and sight.limit == limit and sight.generation == generation:
            ids = self.outline.items
            items = await context.item_documents([ids[index] for index in sight.indices])
            if None not in items:
                return VisibleFeed(self.outline, sight.indices, items, sight.version)
        visible = await context.visible_feed(self.outline, limit)
        self.sight = Sight(limit, generation, visible.indices, visible.version)
        return visible

    def body(self, user_id: str, visible: VisibleFeed, now_ms: int, *, reflects: bool | None = None) -> bytes:
        """Return the JSON of an answer.

        Args:
            user_id: The user who requested the feed.
            visible: Its visible entries, of `outline`.
            now_ms: The present time, in ms since the epoch.
            reflects: Whether the feed reflects the interaction that the request names; None if it names none.
        """
        head = joined(user_id, visible, [], now_ms=now_ms)
        entries = map(self.entries.__getitem__, visible.indices)
        tail = (b"}]" if visible.items else b"]") + _REFLECTS[reflects]
        return _encoder.encode(head)[:-2] + b"},".join(map(add, entries, visible.items)) + tail


class RenderedFeeds:
    """Rendered feeds by user and surface, the least recently read evicted first."""

    def __init__(self, *, capacity_bytes: int) -> None:
        self._feeds: LRUCache[tuple[str, str], RenderedFeed] = LRUCache(capacity_bytes, getsizeof=lambda one: one.size)

    def at(self, owner: str, data: bytes, now_ms: int, *, surface: str = "") -> RenderedFeed:
        """Return a feed in the order for a time.

        Args:
            owner: The user of the feed, or that of the default feed.
            data: The packed feed as it is whole.
            now_ms: The time, in ms since the epoch.
            surface: The surface that shows the feed; empty for all kinds.
        """
        feed = self._feeds.get((owner, surface))
        if feed is None or feed.data != data or not feed.from_ms <= now_ms < feed.until_ms:
            feed = RenderedFeed(data, unpack(owner, data), now_ms, surface=surface)
            with suppress(ValueError):  # larger than the whole cache
                self._feeds[owner, surface] = feed
        return feed


def _entries(feed: Feed) -> list[bytes]:
    """Return the JSON of each entry up to its item, whose end and the brace after it the caller adds."""
    visible = VisibleFeed(feed, range(len(feed.items)), [None] * len(feed.items), "")
    lines = _encoder.encode_lines(content(feed.user_id, visible, now_ms=0).items).splitlines()
    return [line.removesuffix(_NO_ITEM) for line in lines]


def selected(body: bytes, names: Collection[str]) -> bytes:
    """Return an answer whose entries have only some of their fields.

    >>> selected(b'{"model":"m","items":[{"item_id":"i1","score":0.5,"item":{"title":"One"}}]}', {"item_id"})
    b'{"model":"m","items":[{"item_id":"i1"}]}'
    """
    answer = _answer.decode(body)
    entries = [{name: entry[name] for name in entry if name in names} for entry in _fields.decode(answer["items"])]
    answer["items"] = msgspec.Raw(_encoder.encode(entries))
    return _encoder.encode(answer)
