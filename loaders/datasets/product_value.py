"""Parser of product rows. Numbers and times are parsed by column, since cells of a column disambiguate each other."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from loaders.datasets.product_column import ProductFormat
from loaders.tables import currency, quantity, timestamp
from loaders.tables.cell import is_missing, quoted
from loaders.tables.encoding import is_decoded
from loaders.tables.money import Price, PriceParser
from schemas.limit import PRODUCT
from schemas.types import Item

PRODUCT_RATING_MAX = 5.0
"""The scale of ratings in the catalogue."""
_PRICES, _COUNTS = ("discount_price", "actual_price"), ("no_of_ratings", "stock")
_LINKED_ID = re.compile(r"/(?:dp|gp/product)/([A-Z0-9]{10})(?![A-Z0-9])")
_ROUNDED_ID = re.compile(r"\d(?:[.,]\d+)?[eE]\+\d+")
_UNFILED = "other"
_SAME_RATIO = 0.02
"""Tolerance between a discount ratio and that of the prices."""


class ProductValues:
    """Parsed values of the columns of a table."""

    def __init__(self, column: Callable[[str], Sequence[str]], form: ProductFormat) -> None:
        """Parse the columns.

        Args:
            column: Returns the cells of a column, none when the table lacks it.
            form: Options of the file.

        Raises:
            ValueError: the ratings are on another scale.
        """
        mark = form.decimal_mark
        self._has_ids = "id" in form.columns or bool(column("id"))
        self._prices = PriceParser([column(name) for name in _PRICES], mark=mark, code=form.currency)
        self._counts = {name: quantity.counts(column(name), mark=mark) for name in _COUNTS}
        self._ratings = quantity.ratings(column("ratings"), scale=form.rating_scale, mark=mark)
        self._ratios = quantity.shares(column("discount_ratio"), mark=mark)
        times = [time for time in column("created_at") if not is_missing(time)]
        self._times = dict(zip(times, timestamp.read(times), strict=True))
        self._assumptions: Counter[str] = Counter()
        self._ranges = 0

    def item(self, cells: Mapping[str, str], *, at_ms: int) -> Item:
        """Return the product of a row.

        Args:
            cells: Cells by column.
            at_ms: Time of creation for a row without one, in ms since the epoch.

        Raises:
            ValueError: the row is unusable; the message has the reason.
        """
        if not all(map(is_decoded, cells.values())):
            raise ValueError("it holds bytes that its encoding does not have")
        if not cells["name"]:
            raise ValueError("the name is missing")
        item_id = self.id_of(cells)
        price, original, attributes = self._cost(cells)
        rating = _value(self._ratings, "ratings", cells)
        reviews, stock = (_value(self._counts[name], name, cells) for name in _COUNTS)
        created_at = _value(self._times, "created_at", cells)
        return Item(
            item_id=item_id,
            category=cells["main_category"] or _UNFILED,
            title=cells["name"],
            topics=[cells["sub_category"]] if cells.get("sub_category") else [],
            url=cells.get("link") or None,
            image_url=cells.get("image") or None,
            price=price,
            created_at=at_ms if created_at is None else round(created_at),
            attributes=attributes,
            kind=PRODUCT,
            brand=cells.get("brand") or None,
            original_price=original,
            rating=None if rating is None else round(rating * PRODUCT_RATING_MAX, 4),
            reviews=None if reviews is None else round(reviews),
            stock=None if stock is None else round(stock),
        )

    def id_of(self, cells: Mapping[str, str]) -> str:
        """Return the id of a product: its own, the one in its link, or a hash of its link or name.

        Raises:
            ValueError: the id is missing where other rows have one, or a spreadsheet has rounded it.
        """
        own_id = cells.get("id", "")
        if _ROUNDED_ID.fullmatch(own_id):
            raise ValueError(f"id: {quoted(own_id)} has been rounded by a spreadsheet")
        if own_id:
            return own_id
        link_match = _LINKED_ID.search(cells.get("link", ""))
        if link_match:
            return link_match[1]
        if self._has_ids:
            raise ValueError("the id is missing")
        made_of = cells.get("link") or cells["name"]
        return hashlib.blake2b(made_of.encode(errors="replace"), digest_size=5).hexdigest().upper()

    def notes(self) -> list[str]:
        """Return notes on uncertain readings of the numbers of the items so far."""
        marks = sorted({mark for mark in self._prices.marks.values() if mark})
        notes = [f"prices are written with the decimal mark {' or '.join(marks)}"] if marks else []
        for sign, count in self._assumptions.items():
            code, *others = currency.codes_of(sign)
            meaning = f"is taken for {code}" if code else "is left open"
            notes.append(
                f"the currency of {_prices(count)} with {sign} {meaning}; it may be {', '.join(others)}: see --currency"
            )
        if self._ranges:
            notes.append(f"{_prices(self._ranges)} with a range: the lower end is the price, the upper end is price_to")
        return notes

    def _cost(self, cells: Mapping[str, str]) -> tuple[float | None, float | None, dict[str, str]]:
        """Return the price of a product, the price before a discount, and the related attributes.

        Raises:
            ValueError: the prices are unreadable or contradict each other.
        """
        price, original = (self._price(name, cells) for name in _PRICES)
        signs = [one.currency or one.sign for one in (price, original) if one and (one.currency or one.sign)]
        if len(set(signs)) > 1:
            raise ValueError(f"discount_price is in {signs[0]} and actual_price in {signs[1]}")
        if price and original and price.amount > original.amount:
            raise ValueError(f"discount_price {price.amount:g} is above actual_price {original.amount:g}")
        ratio = _value(self._ratios, "discount_ratio", cells)
        if ratio is not None and price and original and original.amount:
            discount = 1 - price.amount / original.amount
            if abs(ratio - discount) > _SAME_RATIO:
                raise ValueError(f"discount_ratio {ratio:g} is not that of {price.amount:g} and {original.amount:g}")
        shown_price = price or original
        code = next((one.currency for one in (price, original) if one and one.currency), "")
        attributes = {"currency": code} if code else {}
        if shown_price and shown_price.to is not None:
            attributes["price_to"] = f"{shown_price.to:.12g}"
        self._note(price, original)
        amounts = [None if one is None else one.amount for one in (shown_price, original)]
        return amounts[0], amounts[1], attributes

    def _price(self, name: str, cells: Mapping[str, str]) -> Price | None:
        try:
            return self._prices.read(cells[name]) if cells.get(name) else None
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    def _note(self, *prices: Price | None) -> None:
        self._assumptions.update({price.sign for price in prices if price and price.sign})
        self._ranges += any(price.to is not None for price in prices if price)


def _prices(count: int) -> str:
    return "1 price" if count == 1 else f"{count:,} prices"


def _value(values: Mapping[str, float | int | ValueError | None], name: str, cells: Mapping[str, str]) -> float | None:
    value = values[cells[name]] if cells.get(name) else None
    if isinstance(value, ValueError):
        raise ValueError(f"{name}: {value}") from value
    return value
