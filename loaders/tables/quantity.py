"""Parser of counts, ratings and shares of shops: "1.234 ratings", "2.3K", "4,5 out of 5 stars", "-80 %"."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loaders.tables import number
from loaders.tables.cell import CELL_CHARS, is_missing_number, quoted

_COUNT = re.compile(
    rf"\(?(?P<number>{number.NUMBER}) ?(?P<unit>[kKmM]?)"
    r"(?: ?(?:(?:global )?ratings?|reviews?|votes?|pcs\.?|pieces))?\)?"
)
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000}
_RATING = re.compile(
    rf"(?P<number>[.,]\d+|{number.NUMBER})"
    rf" ?(?:(?:/|out of|of|von|sur|de|su|di|van|av|af|z|из|的) ?(?P<scale>{number.NUMBER})|(?P<percent>%))?"
    r" ?(?:stars?|sternen?|étoiles?|estrellas|estrelas|stelle|sterren|★|⭐)?",
    re.IGNORECASE,
)
_STARS = re.compile(r"(?P<full>[★⭐]+)(?P<empty>[☆✩]*)")
_SHARE = re.compile(rf"\(?-? ?(?P<number>[.,]\d+|{number.NUMBER}) ?(?P<percent>%)?(?: ?off)?\)?", re.IGNORECASE)
COUNT_MAX = 1e12
_ABOVE_SCALE = 0.01
"""Largest share of ratings above the scale that count as slips; more of them reveal another scale."""


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    readings: number.Readings
    factor: float = 1.0
    has_scale: bool = False
    """Whether the cell itself states the scale of its number."""


Parse = Callable[[str], _Cell]
Values = dict[str, float | ValueError | None]
"""Value of each text of a column: None for a missing one, an error for an invalid one."""


def counts(texts: Sequence[str], *, mark: str | None = None) -> Values:
    """Return whole numbers; an ambiguous "1.234" is 1234, since counts have no decimals."""
    return _column(texts, _count, mark=mark, is_valid=number.is_whole, must="a whole number")


def ratings(texts: Sequence[str], *, scale: float, mark: str | None = None) -> Values:
    """Return ratings as shares of their scale, from 0 to 1.

    Args:
        texts: The column.
        scale: The highest rating, for cells without a scale.
        mark: The decimal mark; detected by default.

    Raises:
        ValueError: too many ratings lie above the scale.
    """

    def parse(text: str) -> _Cell:
        return _rating(text, scale)

    values = _column(texts, parse, mark=mark, is_valid=lambda share: share <= 1, must=f"a rating from 0 to {scale:g}")
    cells = [cell for text in texts if isinstance(cell := _parsed(text, parse), _Cell) and not cell.has_scale]
    above = [cell for cell in cells if min(cell.readings.values()) * cell.factor > 1]
    if len(above) > max(1.0, _ABOVE_SCALE * len(cells)):
        raise ValueError(f"{len(above)} of {len(cells)} ratings, such as {quoted(above[0].text)}, are above {scale:g}")
    return values


def shares(texts: Sequence[str], *, mark: str | None = None) -> Values:
    """Return shares from 0 to 1; a column with plain numbers above 1 is in percent."""
    cells = [cell for text in texts if isinstance(cell := _parsed(text, _share), _Cell)]
    bare = [min(cell.readings.values()) for cell in cells if not cell.has_scale]
    percent = 0.01 if max(bare, default=0.0) > 1 else 1.0

    def parse(text: str) -> _Cell:
        cell = _share(text)
        return cell if cell.has_scale else _Cell(cell.text, cell.readings, percent)

    return _column(texts, parse, mark=mark, is_valid=lambda share: share <= 1, must="a share from 0 to 1 or 100 %")


def _column(
    texts: Sequence[str], parse: Parse, *, mark: str | None, is_valid: Callable[[float], bool], must: str
) -> Values:
    cells = {text: _parsed(text, parse) for text in texts}
    numbers = {
        text: {name: round(value * cell.factor, 12) for name, value in cell.readings.items()}
        for text, cell in cells.items()
        if isinstance(cell, _Cell)
    }
    mark = mark or number.decimal_mark([numbers[text] for text in texts if text in numbers], is_valid=is_valid)
    values: Values = {}
    for text, cell in cells.items():
        if not isinstance(cell, _Cell):
            values[text] = None if cell is None else ValueError(f"{quoted(text)} is not {must}")
            continue
        try:
            value = number.choose(text, numbers[text], mark, is_valid=is_valid)
        except ValueError as error:
            values[text] = error
            continue
        values[text] = value if is_valid(value) else ValueError(f"{quoted(text)} is not {must}")
    return values


def _parsed(text: str, parse: Parse) -> _Cell | ValueError | None:
    if is_missing_number(text):
        return None
    try:
        cell = parse(text)
    except ValueError as error:
        return error
    return cell if cell.readings else ValueError(text)


def _count(text: str) -> _Cell:
    match = _matched(_COUNT, text)
    return _Cell(text, number.readings(match["number"]), _UNITS[match["unit"].lower()])


def _rating(text: str, scale: float) -> _Cell:
    stars = _STARS.fullmatch(text.strip())
    if stars is not None:
        full, most = len(stars["full"]), len(stars[0])
        return _Cell(text, dict.fromkeys((number.POINT, number.COMMA), full / (most if stars["empty"] else scale)))
    match = _matched(_RATING, text)
    if match["scale"]:
        scale = min(number.readings(match["scale"]).values(), default=0.0)
        if not scale:
            raise ValueError(text)
    own = bool(match["scale"] or match["percent"])
    return _Cell(text, number.readings(match["number"]), 1 / (100.0 if match["percent"] else scale), own)


def _share(text: str) -> _Cell:
    match = _matched(_SHARE, text)
    return _Cell(text, number.readings(match["number"]), 0.01 if match["percent"] else 1.0, bool(match["percent"]))


def _matched(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    match = pattern.fullmatch(number.plain(text)) if len(text) <= CELL_CHARS else None
    if match is None:
        raise ValueError(text)
    return match
