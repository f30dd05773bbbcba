"""The columns of a table of products: their names in files, and what else a caller may know of a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "productid", "asin", "sku", "ean", "gtin", "itemid"),
    "name": ("name", "title", "productname"),
    "main_category": ("maincategory", "category"),
    "sub_category": ("subcategory",),
    "image": ("image", "imageurl"),
    "link": ("link", "url"),
    "ratings": ("ratings", "rating"),
    "no_of_ratings": ("noofratings", "reviews", "ratingcount"),
    "discount_price": ("discountprice", "price"),
    "actual_price": ("actualprice", "originalprice"),
    "discount_ratio": ("discountratio",),
    "brand": ("brand",),
    "stock": ("stock",),
    "created_at": ("createdat",),
}
"""The columns, and the names they go by in files, in lower case and letters only."""
NEEDED = ("name", "main_category")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFormat:
    """What the caller knows of a file; the rest is recognised."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """The name in the file of each column that has an unusual one."""
    encoding: str | None = None
    separator: str | None = None
    decimal_mark: str | None = None
    currency: str = ""
    """The ISO code for prices without a sign, or with a sign that several currencies share."""
    rating_scale: float = 5.0
    """The highest rating, for ratings that do not name it."""


def find(header: Sequence[str], form: ProductFormat) -> dict[str, int]:
    """Return where each column is, as far as it is there."""
    names = [name.strip() for name in header]
    letters = [re.sub(r"[^a-z]", "", name.lower()) for name in names]
    places = {}
    for column, usual in COLUMNS.items():
        if column in form.columns:
            candidates = [names.index(form.columns[column])] if form.columns[column] in names else []
        else:
            candidates = [letters.index(name) for name in usual if name in letters]
        if candidates:
            places[column] = candidates[0]
    return places
