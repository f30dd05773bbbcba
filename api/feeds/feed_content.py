"""The answer of `GET /content`: a feed joined with the catalog JSON of its items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import repeat
from operator import itemgetter
from typing import Any

import msgspec

from api.endpoints.visibility import VisibleFeed
from infra.redis.stores.feed_codec import float16_table
from infra.redis.stores.feed_store import DEFAULT_FEED


class ContentItem(msgspec.Struct, gc=False):
    """One ranked item; `item` is its catalog JSON, null for a given candidate that is not in the catalog.

    `propensity`, the probability with which its place shows it, is left out where the feed does not explore.
    """

    item_id: str
    score: float
    source: str
    reason: str
    parts: Any
    propensity: float | msgspec.UnsetType = msgspec.UNSET
    item: msgspec.Raw | None = None


class FeedMetadata(msgspec.Struct, gc=False):
    """Feed metadata; the version changes with every field except the age. Times are in ms since the epoch."""

    user_id: str
    version: str
    generated_at: int
    age_ms: int
    watermark: int
    model: str
    fallback: bool


class FeedContent(FeedMetadata, gc=False):
    """A feed as returned to clients."""

    items: list[ContentItem]


class ChosenItem(msgspec.Struct, gc=False):
    """One ranked item with the fields that were asked for, by default all: see `ContentItem`."""

    item_id: str | msgspec.UnsetType = msgspec.UNSET
    score: float | msgspec.UnsetType = msgspec.UNSET
    source: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    parts: Any = msgspec.UNSET
    propensity: float | msgspec.UnsetType = msgspec.UNSET
    item: msgspec.Raw | msgspec.UnsetType | None = msgspec.UNSET


class ContentAnswer(FeedMetadata, gc=False):
    """A feed; `reflects_after` says whether it reflects the interaction named by `after`, and is there only then."""

    items: list[ChosenItem]
    reflects_after: bool | msgspec.UnsetType = msgspec.UNSET


def content(user_id: str, visible: VisibleFeed, *, now_ms: int) -> FeedContent:
    """Return the served items of a feed, joined with their catalog JSON.

    Args:
        user_id: The user who requested the feed.
        visible: The feed, and the indices and JSON of its served items.
        now_ms: The present time, in ms since the epoch.
    """
    feed, pick = visible.feed, _picker(visible.indices)
    parts = map(_parts(tuple(feed.parts)), *map(pick, feed.parts.values())) if feed.parts else repeat({})
    propensities = pick(feed.propensities) if feed.propensities else repeat(msgspec.UNSET)
    labels = (pick(feed.sources), pick(feed.reasons))
    columns = (pick(feed.items), pick(feed.scores), *labels, parts, propensities, visible.items)
    return joined(user_id, visible, list(map(ContentItem, *columns)), now_ms=now_ms)


def joined(user_id: str, visible: VisibleFeed, items: list[ContentItem], *, now_ms: int) -> FeedContent:
    """Return a feed's metadata with some items.

    Args:
        user_id: The user who requested the feed.
        visible: The feed.
        items: The items.
        now_ms: The present time, in ms since the epoch.
    """
    feed = visible.feed
    return FeedContent(
        user_id=user_id,
        version=visible.version,
        generated_at=feed.generated_at,
        age_ms=max(0, now_ms - feed.generated_at),
        watermark=feed.watermark,
        model=feed.model,
        fallback=feed.user_id == DEFAULT_FEED,
        items=items,
    )


def _picker(indices: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Return a function that selects the values at some indices, which are ascending, from a column."""
    count = len(indices)
    if not count or indices[-1] == count - 1:
        return itemgetter(slice(count))
    return lambda column: [column[index] for index in indices]


@lru_cache(maxsize=64)
def _parts(names: tuple[str, ...]) -> Callable[..., Any]:
    """Return a type for the score contributions of one item; it costs a third of a dict.

    Zeros are omitted: msgspec omits a value that is the identical object as the field's default.
    """
    fields = [(f"part_{index}", float, float16_table()[0]) for index, _ in enumerate(names)]
    rename = {field: name for (field, _, _), name in zip(fields, names, strict=True)}
    return msgspec.defstruct("Parts", fields, rename=rename, omit_defaults=True, gc=False)
