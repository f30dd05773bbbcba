"""Availability of items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from domain.plain import plain

_STOCK, _AVAILABILITY = "stock", "availability"
_UNAVAILABLE = frozenset(("out of stock", "outofstock", "sold out", "soldout", "unavailable", "discontinued"))
"""Values of the attribute `availability` in product feeds, in normalized spelling."""


class Stocked(Protocol):
    """An item with information on its stock."""

    @property
    def stock(self) -> int | None:
        """Return the units in stock; None when stock is not tracked."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """Return other attributes by name."""


def is_sold_out(item: Stocked) -> bool:
    """Return whether an item is out of stock: by its stock, or by the attributes `stock` and `availability`.

    An item without tracked stock is available.
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
