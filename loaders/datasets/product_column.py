"""Columns of product tables: their names in files, and the options of a file."""

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
"""Names of each column in files, in lower case and letters only."""
NEEDED = ("name", "main_category")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFormat:
    """Options of a product file; unset ones are detected."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Name in the file of each column with an unusual name."""
    encoding: str | None = None
    separator: str | None = None
    decimal_mark: str | None = None
    currency: str = ""
    """ISO code for prices without a sign, or with a sign shared by several currencies."""
    rating_scale: float
    """The highest rating, for ratings without a scale."""


def find(header: Sequence[str], form: ProductFormat) -> dict[str, int]:
    """Return the index of each column of the file."""
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
