"""Whether an item can be had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from schemas.plain import plain

_STOCK, _AVAILABILITY = "stock", "availability"
_UNAVAILABLE = frozenset(("out of stock", "outofstock", "sold out", "soldout", "unavailable", "discontinued"))
"""Values of an attribute `availability`, as product feeds have them, each in whatever spelling."""


class Stocked(Protocol):
    """What is told of an item's stock."""

    @property
    def stock(self) -> int | None:
        """Return how many there are, None where nobody counts."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """Return whatever else is known."""


def is_sold_out(item: Stocked) -> bool:
    """Return whether an item is out of stock: by its stock, or by the attributes `stock` and `availability`.

    An item whose stock nobody counts can be had.
    """
    if item.stock is not None:
        return item.stock <= 0
    return _is_zero(item.attributes.get(_STOCK, "")) or _is_unavailable(item.attributes.get(_AVAILABILITY, ""))


def _is_zero(text: str) -> bool:
    try:
        return float(text) <= 0
    except ValueError:
        return _is_unavailable(text)


def _is_unavailable(text: str) -> bool:
    return plain(text.rpartition("/")[2]) in _UNAVAILABLE
