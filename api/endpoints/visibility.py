"""Which items may be shown to whom, as read from their JSON: those that are gone, private or out of stock are left out.

Feeds are ranked for their users, near to them; what is read here has changed since. Lists that are made for everybody
are held against the place of whoever reads them, too: see `schemas.nearby`.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from infra.redis.stores.feed_codec import version as feed_version
from infra.redis.stores.item_store import ItemReader
from infra.settings import Settings
from schemas.nearby import GeoIndex, Spot
from schemas.stock import is_sold_out
from schemas.types import Feed

_DIGEST_BYTES = 8
SPARE_ITEMS = 20
"""Items that are looked up beyond those that are asked for, as some may not be shown."""


class Served(NamedTuple):
    """Those items of a feed that are shown."""

    feed: Feed
    positions: Sequence[int]
    """Where they stand in the feed, ascending."""
    items: Sequence[msgspec.Raw | None]
    """Their JSON; None where the catalogue holds none."""
    version: str
    """Changes with the feed, and with what its items say."""


class _Facts(msgspec.Struct, gc=False):
    """What decides whether an item may be shown."""

    stock: int | None = None
    attributes: dict[str, str] = {}
    private: bool = False
    cell: str | None = None
    city: str | None = None


class Offer(NamedTuple):
    """What an item says of whether it may be shown, and a digest of all that it says."""

    digest: bytes
    is_private: bool
    is_sold_out: bool
    cell: str | None
    city: str | None


_facts = msgspec.json.Decoder(_Facts)


class Offers:
    """Decides by the settings."""

    def __init__(self, settings: Settings) -> None:
        self._hides_sold_out, self._radius_km = settings.hides_sold_out, settings.place_radius_km
        self._reader = ItemReader(_offer)

    def of_feed(
        self, item_ids: Sequence[str], items: Sequence[msgspec.Raw | None], *, start: int
    ) -> list[tuple[int, msgspec.Raw, Offer]]:
        """Return those items of a user's own feed that may still be shown, with their positions, counted from `start`.

        `items` are their JSON, None for those that have left the catalogue.
        """
        read = self._reader.read
        offers = [
            (position, data, read(item_id, data))
            for position, (item_id, data) in enumerate(zip(item_ids, items, strict=True), start)
            if data is not None
        ]
        return [one for one in offers if not one[2].is_sold_out] if self._hides_sold_out else offers

    def to(self, user: Spot, items: dict[str, msgspec.Raw]) -> list[str]:
        """Return the ids of items of the catalogue that may be shown to a user, in the order that they have.

        What is tied to a place comes last for a user of whom none is known, as does what is out of stock where it is
        shown at all.
        """
        offers = {item_id: self._reader.read(item_id, data) for item_id, data in items.items()}
        far = self._far(user, offers)
        sold_out = {item_id for item_id, offer in offers.items() if offer.is_sold_out}
        left_out = {item_id for item_id, offer in offers.items() if offer.is_private}
        left_out |= far if user.is_known else set()
        left_out |= sold_out if self._hides_sold_out else set()
        return sorted((item_id for item_id in offers if item_id not in left_out), key=(far | sold_out).__contains__)

    def _far(self, user: Spot, offers: dict[str, Offer]) -> set[str]:
        """Return the ids of items that are not near to a user."""
        places, ids = GeoIndex(), list(offers)
        for index, offer in enumerate(offers.values()):
            places.put(index, offer.cell, offer.city)
        return {ids[index] for index in places.far(len(ids), user, radius_km=self._radius_km).tolist()}


def _offer(data: msgspec.Raw) -> Offer:
    facts = _facts.decode(data)
    return Offer(_digest(data), facts.private, is_sold_out(facts), facts.cell, facts.city)


def served(feed: Feed, offers: Sequence[tuple[int, msgspec.Raw, Offer]]) -> Served:
    """Return what is shown of a feed."""
    version = _version(feed, [offer.digest for _, _, offer in offers])
    return Served(feed, [position for position, _, _ in offers], [data for _, data, _ in offers], version)


def given(feed: Feed, items: Sequence[msgspec.Raw | None]) -> Served:
    """Return the first items of a list that was given and ranked, whether or not the catalogue holds them."""
    return Served(feed, range(len(items)), items, _version(feed, [_digest(data or b"") for data in items]))


def _version(feed: Feed, digests: Sequence[bytes]) -> str:
    return f"{feed_version(feed)}-{_digest(b''.join((feed.user_id.encode(), *digests))).hex()}"


def _digest(data: msgspec.Raw | bytes) -> bytes:
    return blake2b(data, digest_size=_DIGEST_BYTES).digest()
