"""Visibility rules: deleted, private and sold-out items are hidden, as read from the items' JSON.

A feed is already ranked for its user's location; the rules cover changes since then. Lists made for everyone are also
filtered by the reader's location: see `domain.nearby`.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from domain.nearby import GeoIndex, GeoLocation
from domain.stock import is_sold_out
from infra.redis.stores.feed_codec import version as feed_version
from infra.redis.stores.item_store import ItemReader
from infra.settings import Settings
from schemas.types import Feed

_DIGEST_BYTES = 8
SPARE_ITEMS = 20
"""Extra items to look up, since some may be hidden."""


class VisibleFeed(NamedTuple):
    """The visible items of a feed."""

    feed: Feed
    indices: Sequence[int]
    """Their indices in the feed, ascending."""
    items: Sequence[msgspec.Raw | None]
    """Their JSON; None for items that are not in the catalog."""
    version: str
    """A version that changes with the feed and with the content of its items."""


class _VisibilityFields(msgspec.Struct, gc=False):
    """The item fields that decide on visibility."""

    stock: int | None = None
    attributes: dict[str, str] = {}
    private: bool = False
    cell: str | None = None
    city: str | None = None
    kind: str = ""
    category: str = ""


class ItemVisibility(NamedTuple):
    """The visibility of an item, with a digest of its JSON."""

    digest: bytes
    is_private: bool
    is_sold_out: bool
    cell: str | None
    city: str | None
    kind: str
    category: str


_visibility_fields = msgspec.json.Decoder(_VisibilityFields)


class VisibilityRules:
    """Applies the visibility rules according to the settings."""

    def __init__(self, settings: Settings) -> None:
        self._hides_out_of_stock, self._radius_km = settings.hides_out_of_stock, settings.nearby_radius_km
        self._reader = ItemReader(_item_visibility)

    def visible_in_feed(
        self, item_ids: Sequence[str], items: Sequence[msgspec.Raw | None], *, start: int
    ) -> list[tuple[int, msgspec.Raw, ItemVisibility]]:
        """Return the visible items of a user's own feed, with their indices.

        Args:
            item_ids: Consecutive items of the feed.
            items: Their JSON; None for items that have left the catalog.
            start: The index of the first item in the feed.
        """
        read = self._reader.read
        visibilities = [
            (index, data, read(item_id, data))
            for index, (item_id, data) in enumerate(zip(item_ids, items, strict=True), start)
            if data is not None
        ]
        return [one for one in visibilities if not one[2].is_sold_out] if self._hides_out_of_stock else visibilities

    def visible_to(self, user: GeoLocation, items: dict[str, msgspec.Raw]) -> list[str]:
        """Return the ids of the catalog items visible to a user, in their order.

        Items tied to a location come last for a user of unknown location, as do sold-out items where they are shown.
        """
        visibilities = {item_id: self._reader.read(item_id, data) for item_id, data in items.items()}
        far = self._far(user, visibilities)
        sold_out = {item_id for item_id, offer in visibilities.items() if offer.is_sold_out}
        hidden_ids = {item_id for item_id, offer in visibilities.items() if offer.is_private}
        hidden_ids |= far if user.is_known else set()
        hidden_ids |= sold_out if self._hides_out_of_stock else set()
        return sorted(
            (item_id for item_id in visibilities if item_id not in hidden_ids), key=(far | sold_out).__contains__
        )

    def _far(self, user: GeoLocation, visibilities: dict[str, ItemVisibility]) -> set[str]:
        """Return the ids of items that are not near a user."""
        geo_index, ids = GeoIndex(), list(visibilities)
        for index, offer in enumerate(visibilities.values()):
            geo_index.put(index, offer.cell, offer.city)
        return {ids[index] for index in geo_index.not_near(len(ids), user, radius_km=self._radius_km).tolist()}


def _item_visibility(data: msgspec.Raw) -> ItemVisibility:
    facts = _visibility_fields.decode(data)
    return ItemVisibility(
        _digest(data), facts.private, is_sold_out(facts), facts.cell, facts.city, facts.kind, facts.category
    )


def visible_feed(feed: Feed, visibilities: Sequence[tuple[int, msgspec.Raw, ItemVisibility]]) -> VisibleFeed:
    """Return the visible items of a feed."""
    version = _version(feed, [offer.digest for _, _, offer in visibilities])
    return VisibleFeed(feed, [index for index, _, _ in visibilities], [data for _, data, _ in visibilities], version)


def reranked_feed(feed: Feed, items: Sequence[msgspec.Raw | None]) -> VisibleFeed:
    """Return the first items of a re-ranked list, including items that are not in the catalog."""
    return VisibleFeed(feed, range(len(items)), items, _version(feed, [_digest(data or b"") for data in items]))


def _version(feed: Feed, digests: Sequence[bytes]) -> str:
    return f"{feed_version(feed)}-{_digest(b''.join((feed.user_id.encode(), *digests))).hex()}"


def _digest(data: msgspec.Raw | bytes) -> bytes:
    return blake2b(data, digest_size=_DIGEST_BYTES).digest()
