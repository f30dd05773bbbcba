"""Parser of numbers in any common spelling, with detection of a column's decimal mark.

"1.299" is 1299 in Germany and 1.299 in Britain. A cell such as "12.99" or "1.299,00" has only one reading, so it
reveals the decimal mark of its column, which applies to the other cells. A number that stays ambiguous is rejected.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from loaders.tables.cell import quoted

POINT, COMMA = ".", ","
_MARKS = (POINT, COMMA)
_DECIMAL, _GROUP = "٫", "٬"
"""The Arabic marks: one is always decimal, the other always separates thousands."""
_PLAIN = str.maketrans({
    **dict.fromkeys("’‘ʼ`´′＇", "'"),
    **dict.fromkeys("−﹣－", "-"),
    "．": POINT, "，": COMMA, "、": COMMA, "·": _DECIMAL, "％": "%", "٪": "%", "（": "(", "）": ")",
    "＄": "$", "￥": "¥", "￡": "£", "￦": "₩",
    **dict.fromkeys("\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"),
    **dict.fromkeys("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"),
})  # fmt: skip
NUMBER = rf"\d(?:[\d.,' {_DECIMAL}{_GROUP}]*\d)?"
"""Pattern of digits with any separators between them, in text from `plain`."""
_RARE = 0.01
"""Largest share of cells with another decimal mark that count as slips."""

Readings = Mapping[str, float]
"""Values of a text by assumed decimal mark."""


class AmbiguousNumberError(ValueError):
    """A number with an undecidable decimal mark."""

    def __init__(self, text: str, readings: Readings) -> None:
        values = " or ".join(f"{value:.12g}" for value in sorted(readings.values(), reverse=True))
        super().__init__(f"{quoted(text)} may be {values}: the column does not show its decimal mark")


def plain(text: str) -> str:
    """Return a text with digits, marks and spaces of other scripts and HTML in ASCII, without invisible characters."""
    if "&" in text:
        text = html.unescape(text)
    if text.isascii():
        return " ".join(text.split())
    return " ".join("".join(map(_plain, text.translate(_PLAIN))).split())


def readings(number: str) -> dict[str, float]:
    """Return the possible values of a plain number, by decimal mark; empty for other texts.

    >>> readings("1.299,50"), readings("1.299"), readings("0,125")
    ({',': 1299.5}, {'.': 1.299, ',': 1299.0}, {',': 0.125})
    """
    values = {}
    for mark in _MARKS:
        match = _PATTERNS[mark].fullmatch(number)
        if match is not None:
            whole = re.sub(r"\D", "", match["whole"] or "0", flags=re.ASCII)
            values[mark] = float(f"{whole}.{match['part'] or '0'}")
    return values


def decimals(number: str, mark: str) -> int:
    """Return the number of decimals of a plain number, read with a decimal mark."""
    match = _PATTERNS[mark].fullmatch(number)
    return len(match["part"] or "") if match is not None else 0


def decimal_mark(
    cells: Iterable[Readings], *, is_valid: Callable[[float], bool] = lambda _: True, rare: float = _RARE
) -> str | None:
    """Return the decimal mark of a column; None when its cells do not reveal one or contradict each other.

    Args:
        cells: The readings of each cell.
        is_valid: Returns whether a value is valid in this column, such as a whole number in a column of counts; used
            only when the spelling of no cell decides.
        rare: Largest share of contradicting cells that count as slips.
    """
    cells = [cell for cell in cells if len(set(cell.values())) > 1 or len(cell) == 1]
    votes = Counter(next(iter(cell)) for cell in cells if len(cell) == 1)
    if not votes:
        sensible = ([mark for mark, value in cell.items() if is_valid(value)] for cell in cells)
        votes = Counter(marks[0] for marks in sensible if len(marks) == 1)
    if not votes:
        return None
    mark, count = votes.most_common(1)[0]
    return mark if votes.total() - count <= rare * votes.total() else None


def choose(text: str, values: Readings, mark: str | None, *, is_valid: Callable[[float], bool] | None = None) -> float:
    """Return the value of a cell.

    Args:
        text: The cell, for the error message.
        values: The readings of the cell.
        mark: The decimal mark of the column; None for an undecided one.
        is_valid: Returns whether a value is valid in this column; all are by default.

    Raises:
        AmbiguousNumberError: several readings remain without a decimal mark.
    """
    if mark is not None and mark in values:
        return values[mark]
    different = set(values.values())
    if len(different) > 1 and is_valid is not None:
        different = set(filter(is_valid, different))
    if len(different) != 1:
        raise AmbiguousNumberError(text, values)
    return different.pop()


def is_whole(value: float) -> bool:
    """Return whether a value has no decimals."""
    return value.is_integer()


def _plain(char: str) -> str:
    if char.isspace():
        return " "
    digit = unicodedata.decimal(char, None)
    return char if digit is None else str(digit)


def _pattern(mark: str) -> re.Pattern[str]:
    other = COMMA if mark == POINT else POINT
    group = rf"[{re.escape(other)}' {_GROUP}]"
    western = rf"[1-9]\d{{0,2}}(?P<west>{group})\d{{3}}(?:(?P=west)\d{{3}})*"
    indian = rf"[1-9]\d?(?P<india>{group})(?:\d{{2}}(?P=india))+\d{{3}}"
    return re.compile(
        rf"(?P<whole>{western}|{indian}|\d+)?(?:[{re.escape(mark)}{_DECIMAL}](?P<part>\d+))?(?<=\d)", re.ASCII
    )


_PATTERNS = {mark: _pattern(mark) for mark in _MARKS}
