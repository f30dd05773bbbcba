"""Which items may be shown to whom, as read from their JSON: those that are gone, private or out of stock are left out.

Feeds are ranked for their users, near to them; what is read here has changed since. Lists that are made for everybody
are held against the place of whoever reads them, too: see `schemas.nearby`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from infra.feed_layout import version as feed_version
from infra.item_store import ItemReader
from infra.settings import Settings
from schemas.nearby import Places, Spot
from schemas.stock import is_sold_out
from schemas.types import Feed

_DIGEST_BYTES = 8
SPARE_ITEMS = 20
"""Items that are looked up beyond those that are asked for, as some may not be shown."""


@dataclass(frozen=True)
class Served:
    """Those items of a feed that are shown."""

    feed: Feed
    positions: Sequence[int]
    """Where they stand in the feed, ascending."""
    items: Sequence[msgspec.Raw | None]
    """Their JSON; None where the catalogue holds none."""

    @cached_property
    def version(self) -> str:
        """Return what stands for an answer: it changes with the feed, and with what its items say."""
        digest = blake2b(self.feed.user_id.encode(), digest_size=_DIGEST_BYTES)
        for item in self.items:
            digest.update(item or b"\0")
        return f"{feed_version(self.feed)}-{digest.hexdigest()}"


class _Facts(msgspec.Struct, gc=False):
    """What decides whether an item may be shown."""

    stock: int | None = None
    attributes: dict[str, str] = {}
    private: bool = False
    cell: str | None = None
    city: str | None = None


class _Offer(NamedTuple):
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

    def in_feed(self, item_id: str, data: msgspec.Raw) -> bool:
        """Say whether an item of a user's own feed may still be shown to them."""
        return not (self._hides_sold_out and self._reader.read(item_id, data).is_sold_out)

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

    def _far(self, user: Spot, offers: dict[str, _Offer]) -> set[str]:
        """Return the ids of items that are not near to a user."""
        places, ids = Places(), list(offers)
        for index, offer in enumerate(offers.values()):
            places.put(index, offer.cell, offer.city)
        return {ids[index] for index in places.far(len(ids), user, radius_km=self._radius_km).tolist()}


def _offer(data: msgspec.Raw) -> _Offer:
    facts = _facts.decode(data)
    return _Offer(facts.private, is_sold_out(facts), facts.cell, facts.city)
