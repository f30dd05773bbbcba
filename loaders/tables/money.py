"""Parser of prices with currency signs or words, any separators, trailing marks, and ranges."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from loaders.tables import currency, number
from loaders.tables.cell import CELL_CHARS, is_missing_number, quoted

_AMOUNT = re.compile(
    rf"(?P<before>[^\d]*?)(?P<number>(?<![^\W\d_])(?<![^\W\d_] )[.,]\d+|{number.NUMBER})"
    r"(?P<end>[.,:/] ?[-–—=]{1,2}|[.,](?!\d))?(?P<after>\D*)"
)
_RANGE = re.compile(r"(?P<low>.*\d.*?) ?(?:[-–—~〜]|\bto\b) ?(?P<high>[^-–—~〜\d]*\d.*)")
_DASHES = str.maketrans(dict.fromkeys("–—=", "-"))
_SIGN_AS_MARK = re.compile(r"(?<=\d)(?P<sign>[€$£])(?P<part>\d\d)(?!\d)")
"""A currency sign as decimal mark, as in 12€99."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """An amount, or the lower end of a range."""

    amount: float
    currency: str = ""
    """ISO code; empty without a sign, or with a sign of several currencies without a default."""
    to: float | None = None
    """Upper end of a range."""
    sign: str = ""
    """The sign, where several currencies share it; empty otherwise."""


@dataclass(frozen=True, slots=True)
class _Amount:
    text: str
    digits: str
    """The number, with its separators."""
    codes: tuple[str, ...]
    """Possible currencies of the sign, the default first; empty without a sign."""
    sign: str = ""
    readings: number.Readings = field(default_factory=dict)

    @property
    def code(self) -> str:
        return self.codes[0] if self.codes else ""


class PriceParser:
    """Parser of the price columns of a table, which share evidence on the decimal mark.

    The evidence is the spelling of the other prices in the same currency. Where all of them are ambiguous, the currency
    decides in clear cases: "$1,299" is 1299, since dollars have two decimals and a decimal point in their country.
    """

    def __init__(self, columns: Sequence[Sequence[str]], *, mark: str | None = None, code: str = "") -> None:
        """Gather the evidence.

        Args:
            columns: The cells of each column.
            mark: The decimal mark; detected by default.
            code: Currency of prices without a sign, or with a sign shared by several currencies.
        """
        self._code = code
        texts = [text for column in columns for text in column]
        self._cells = {text: _ends(text, code) for text in dict.fromkeys(texts)}
        amounts = [amount for text in texts if isinstance(ends := self._cells[text], list) for amount in ends]
        self._is_mixed = len({amount.code or amount.sign for amount in amounts} - {""}) > 1
        by_currency: dict[str, list[number.Readings]] = {}
        for amount in amounts:
            by_currency.setdefault(self._evidence(amount), []).append(amount.readings)
        self.marks = {name: mark or number.decimal_mark(readings) for name, readings in by_currency.items()}
        """Decimal mark by currency, None for an undecided one; the only key is empty in a table of one currency."""

    def read(self, text: str) -> Price | None:
        """Return the price of a cell of the columns, None for a missing one.

        Raises:
            ValueError: the cell is not a price, or is ambiguous.
        """
        ends = self._cells[text]
        if isinstance(ends, ValueError):
            raise ends
        if not ends:
            return None
        values = [self._value(amount) for amount in ends]
        if values != sorted(values):
            raise ValueError(f"{quoted(text)} is not a range of prices: {values[0]:g} is above {values[1]:g}")
        sign = ends[0].sign if len(ends[0].codes) > 1 and not self._code else ""
        return Price(amount=values[0], currency=ends[0].code, to=values[1] if len(values) > 1 else None, sign=sign)

    def _evidence(self, amount: _Amount) -> str:
        return (amount.code or amount.sign) if self._is_mixed else ""

    def _value(self, amount: _Amount) -> float:
        mark = self.marks[self._evidence(amount)] or _mark_of_currency(amount)
        return number.choose(amount.text, amount.readings, mark)


def _ends(text: str, code: str) -> list[_Amount] | ValueError:
    """Return the amount of a cell, the two ends of a range, or an empty list for a missing value."""
    if is_missing_number(text):
        return []
    if len(text) > CELL_CHARS:
        return ValueError(f"{quoted(text)} is not a price")
    normalized_text = _SIGN_AS_MARK.sub(r"٫\g<part> \g<sign>", number.plain(text))
    between = _RANGE.fullmatch(normalized_text)
    try:
        if between is None:
            return [_amount(text, normalized_text, code)]
        low, high = (_amount(text, between[end], code) for end in ("low", "high"))
        if low.codes and high.codes and low.codes != high.codes:
            raise ValueError(f"{quoted(text)} is in two currencies")
        if not low.codes or not high.codes:
            codes, sign = (low.codes, low.sign) if low.codes else (high.codes, high.sign)
            low, high = (_Amount(text, end.digits, codes, sign, end.readings) for end in (low, high))
        return [low, high]
    except ValueError as error:
        return error


def _amount(text: str, normalized_text: str, code: str) -> _Amount:
    match = _AMOUNT.fullmatch(normalized_text.strip())
    readings = number.readings(match["number"]) if match is not None else {}
    if match is not None and "-" in (match["end"] or "").translate(_DASHES):  # the dash replaces the decimals
        readings = {mark: value for mark, value in readings.items() if not number.decimals(match["number"], mark)}
    if match is None or not readings or match["before"].endswith((" .", " ,")):
        raise ValueError(f"{quoted(text)} is not a price")
    if match["before"].startswith(("-", "(")) or match["after"].strip() == "-":
        raise ValueError(f"{quoted(text)} is a negative price")
    signs = [sign.strip() for sign in (match["before"], match["after"]) if sign.strip(" .")]
    meanings = [("ZAR",) if sign == "R" and match["before"].strip() else currency.codes_of(sign) for sign in signs]
    if not all(meanings):
        raise ValueError(f"{quoted(text)} is not a price: {signs[meanings.index(())]!r} is no known currency")
    codes = tuple(one for one in meanings[0] if all(one in other for other in meanings)) if meanings else ()
    if len(meanings) > 1 and not any(codes):
        raise ValueError(f"{quoted(text)} is in two currencies")
    if code and (not codes or code in codes):
        codes = (code,)
    return _Amount(text, match["number"], codes, signs[0].strip(" .") if signs else "", readings)


def _mark_of_currency(amount: _Amount) -> str | None:
    """Return the decimal mark of an ambiguous amount where its currency allows only one reading.

    The other reading must have more decimals than the currency. For a currency with decimals, its country must use the
    mark, too: "1.299 €" stays ambiguous, since programs write decimal points for any currency.
    """
    codes = [code for code in amount.codes if code][:1] if amount.code else [code for code in amount.codes if code]
    if not codes:
        return None
    digits = max(map(currency.digits_of, codes))
    sensible = [mark for mark in amount.readings if number.decimals(amount.digits, mark) <= digits]
    if len(sensible) != 1:
        return None
    at_home = {currency.home_mark(code) for code in codes}
    return sensible[0] if digits == 0 or at_home == {sensible[0]} else None
