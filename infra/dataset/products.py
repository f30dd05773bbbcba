"""Reads tables of products: the eleven columns of shops, or what of them there is.

    id, name, main_category, sub_category, image, link, ratings, no_of_ratings, discount_price, actual_price,
    discount_ratio

Columns go by their names, in any order; others are passed over. Where there is no id, the one in the link is taken, or
one is made of the link or the name. A product that stands in several rows is one, in all their sub-categories.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from infra.dataset import money
from infra.dataset.dataset import BadLine, DatasetError
from schemas import limit
from schemas.limit import PRODUCT, PRODUCT_ID
from schemas.text import canonical
from schemas.types import Item

_NAMES = {
    "id": ("id", "productid", "asin"),
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
}
UNDECODED = "surrogateescape"
"""How bytes that are not UTF-8 are read, and written as they were."""
_NEEDED = ("name", "main_category")
_LINKED_ID = re.compile(r"/(?:dp|gp/product)/([A-Z0-9]{10})(?![A-Z0-9])")
_UNFILED = "other"
_SAME_RATIO = 0.02
"""How far a told discount may be from that of the prices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """What a file holds."""

    rows: int
    items: list[Item] = field(default_factory=list)
    repeated: int = 0
    """Rows that tell of a product which an earlier row has told of."""
    bad_lines: list[BadLine] = field(default_factory=list)
    bad_rows: list[list[str]] = field(default_factory=list)
    """The fields of each bad line."""
    columns: list[str] = field(default_factory=list)


def read(path: Path, *, now_ms: int) -> Products:
    """Read a file; rows that cannot be used are told of and left out. The same file again yields the same items.

    Raises:
        DatasetError: there is no such file, or it has not the columns.
    """
    if not path.is_file():
        raise DatasetError(path, "there is no such file")
    lines = _lines(path)
    _, columns = next(lines, (0, []))
    places = _places(columns)
    missing = [name for name in _NEEDED if name not in places]
    if missing:
        raise DatasetError(path, f"it has no column {' and none '.join(missing)}; it should have {', '.join(_NAMES)}")
    found = Products(rows=0, columns=columns)
    at_ms = min(round(path.stat().st_mtime * 1_000), now_ms)
    items: dict[str, Item] = {}
    rows = 0
    for line, fields in lines:
        rows += 1
        try:
            item = canonical(_item(fields, places, len(columns), at_ms))
            limit.check(item, now_ms=now_ms)
        except ValueError as error:
            found.bad_lines.append(BadLine(path.name, line, str(error)))
            found.bad_rows.append(fields)
            continue
        known = items.get(item.item_id)
        items[item.item_id] = item if known is None else _merged(known, item)
    return Products(
        rows=rows,
        items=list(items.values()),
        repeated=rows - len(items) - len(found.bad_lines),
        bad_lines=found.bad_lines,
        bad_rows=found.bad_rows,
        columns=columns,
    )


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line that each row begins in, and its fields."""
    with path.open(encoding="utf-8-sig", errors=UNDECODED, newline="") as text:
        rows = csv.reader(text)
        while True:
            line = rows.line_num + 1
            try:
                fields = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield line, [str(error)]
                continue
            if fields:
                yield line, fields


def _places(columns: Sequence[str]) -> dict[str, int]:
    plain = [re.sub(r"[^a-z]", "", name.lower()) for name in columns]
    found = {name: next((plain.index(one) for one in known if one in plain), -1) for name, known in _NAMES.items()}
    return {name: place for name, place in found.items() if place >= 0}


def _item(fields: Sequence[str], places: dict[str, int], width: int, at_ms: int) -> Item:
    """Return the product of a row.

    Raises:
        ValueError: it is none, and why.
    """
    if len(fields) != width:
        raise ValueError(f"{len(fields)} fields instead of {width}")
    row = {name: fields[place].strip() for name, place in places.items()}
    if not all(map(_is_utf8, row.values())):
        raise ValueError("it is not UTF-8")
    price, original, currency = _prices(row)
    rating = _number("ratings", row.get("ratings", ""), 5.0)
    reviews, stock = (_number(name, row.get(name, ""), 1e12) for name in ("no_of_ratings", "stock"))
    return Item(
        item_id=_id(row),
        category=row["main_category"] or _UNFILED,
        title=row["name"],
        topics=[row["sub_category"]] if row.get("sub_category") else [],
        url=row.get("link") or None,
        image_url=row.get("image") or None,
        price=price,
        created_at=at_ms,
        attributes={"currency": currency} if currency else {},
        kind=PRODUCT,
        brand=row.get("brand") or None,
        original_price=original,
        rating=rating,
        reviews=None if reviews is None else round(reviews),
        stock=None if stock is None else round(stock),
    )


def _prices(row: dict[str, str]) -> tuple[float | None, float | None, str]:
    """Return what a product costs, what it did before a discount, and the currency.

    Raises:
        ValueError: it cannot be told.
    """
    told = []
    for name in ("discount_price", "actual_price"):
        try:
            told.append(money.read(row.get(name, "")))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    (price, sign), (original, original_sign) = told
    if sign and original_sign and sign != original_sign:
        raise ValueError(f"discount_price is in {sign} and actual_price in {original_sign}")
    if price is not None and original is not None and price > original:
        raise ValueError(f"discount_price {price:g} is above actual_price {original:g}")
    ratio = _number("discount_ratio", row.get("discount_ratio", ""), 1.0)
    if ratio is not None and price is not None and original and abs(ratio - 1 + price / original) > _SAME_RATIO:
        raise ValueError(f"discount_ratio {ratio:g} is not that of {price:g} and {original:g}")
    return (original if price is None else price), original, sign or original_sign


def _is_utf8(value: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in value)


def _number(name: str, text: str, most: float) -> float | None:
    if not text:
        return None
    try:
        value = money.number(text)
    except ValueError:
        value = most + 1
    if value > most:
        raise ValueError(f"{name}: {text!r} is no number from 0 to {most:g}")
    return value


def _id(row: dict[str, str]) -> str:
    given = row.get("id", "")
    if given:
        if not PRODUCT_ID.fullmatch(given):
            raise ValueError(f"id: {given!r} is not ten of A to Z and 0 to 9")
        return given
    linked = _LINKED_ID.search(row.get("link", ""))
    if linked:
        return linked[1]
    return hashlib.blake2b((row.get("link") or row["name"]).encode(), digest_size=5).hexdigest().upper()


def _merged(known: Item, again: Item) -> Item:
    """Return a product as its first row tells of it, filed under what the other row says too."""
    filed = list(dict.fromkeys((*known.topics, *again.topics)))[: limit.LIST_ITEMS]
    return known if filed == known.topics else replace(known, topics=filed)
