"""Difference between an import and the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from loaders.datasets.products import Products
from schemas.types import Item

SOURCE = "imported_from"
"""Attribute with the source of an imported item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The difference between a file and the catalogue."""

    added_count: int
    changed_items: Sequence[Item]
    """Items that are new, or differ from those of the catalogue."""
    unchanged_count: int
    absent: Sequence[str]
    """Items from an earlier import of the source that are missing in the file."""

    @property
    def updated(self) -> int:
        """Return the number of items that replace another version."""
        return len(self.changed_items) - self.added_count


def change(products: Products, catalogue: Mapping[str, Item], *, source: str) -> Change:
    """Compare a file with the catalogue.

    An existing item keeps its time of entry into the catalogue, unless the file has a time. A product in a rejected row
    is not absent.

    Args:
        products: The content of the file.
        catalogue: Items of the catalogue that are in the file or from its source.
        source: Name of the source.
    """
    items = [_kept(item, catalogue.get(item.item_id), products, source) for item in products.items]
    present = {item.item_id for item in items} | {row.item_id for row in products.rejected_rows}
    changed_items = [item for item in items if catalogue.get(item.item_id) != item]
    return Change(
        added_count=sum(item.item_id not in catalogue for item in changed_items),
        changed_items=changed_items,
        unchanged_count=len(items) - len(changed_items),
        absent=sorted(
            item_id
            for item_id, item in catalogue.items()
            if item.attributes.get(SOURCE) == source and item_id not in present
        ),
    )


def _kept(item: Item, before: Item | None, products: Products, source: str) -> Item:
    is_dated = before is None or item.item_id not in products.undated_items
    return replace(
        item,
        created_at=item.created_at if is_dated or before is None else before.created_at,
        attributes={**item.attributes, SOURCE: source},
    )
