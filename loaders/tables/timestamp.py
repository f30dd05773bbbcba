"""Parser of times: numbers since 1970, ISO 8601 with or without a zone, and dates in other orders.

The column resolves ambiguities of a cell: the unit of numbers, and whether 03/04/2024 is in March or in April.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, tzinfo
from statistics import median
from typing import cast

from dateutil import parser as dateutil

from domain.timestamp import epoch_ms
from domain.zone import zone_named
from loaders.tables.cell import CELL_CHARS, is_missing, quoted
from schemas.limit import LAST_MS

_UNITS_MS = ((1e17, 1e-6), (1e14, 1e-3), (1e11, 1.0), (0.0, 1e3))
"""Least size of numbers in nanoseconds, microseconds, milliseconds and seconds. 1e11 s is the year 5138."""
_UNIT_NAMES = {1e-6: "nanoseconds", 1e-3: "microseconds", 1.0: "milliseconds", 1e3: "seconds"}
_DIGITS = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[0-2]\d[0-5]\d(?:[0-5]\d)?)?")
"""A date, with an optional time of day, without separators."""
_NUMERIC = re.compile(r"(\d{1,2})([/.\-])(\d{1,2})\2(\d{4})(?!\d)(.*)", re.DOTALL)
_OFFSET = re.compile(r"(.*\d) ?(?:UTC|GMT) ?([+-])(\d{1,2})(?::?(\d\d))?", re.DOTALL)
_YEARS = range(1970, 2100)
_WHOLE_YEAR = re.compile(r"(?<![\d:.])(?:19|20)\d\d(?!\d)", re.ASCII)
_ZONE = re.compile(r"(.*\d) ?(UTC|GMT|Z|[A-Z][A-Za-z]+/[A-Za-z_/+-]+)", re.DOTALL)

Parsed = float | int | tuple[int, int, int, str] | ValueError
"""A bare number, ms since 1970, a date in ambiguous order, or an error."""


def read(times: Sequence[object]) -> list[int | ValueError]:
    """Return times in ms since 1970, or an error for each invalid one.

    A time without a zone is in UTC. The unit of numbers is that of their median; numbers of another unit, and dates in
    an order that the column does not reveal, are errors.
    """
    parsed_times = [_parse(time) for time in times]
    numbers = [time for time in parsed_times if isinstance(time, float)]
    unit = unit_ms(median(numbers)) if numbers else 1.0
    number_texts = [
        str(text).strip() for text, time in zip(times, parsed_times, strict=True) if isinstance(time, float)
    ]
    is_compact = bool(number_texts) and all(map(_DIGITS.fullmatch, number_texts))
    are_years = bool(numbers) and all(number in _YEARS for number in numbers)
    order = _order([time for time in parsed_times if isinstance(time, tuple)])

    def settle(text: object, time: Parsed) -> int | ValueError:
        if isinstance(time, tuple):
            return _dated(str(text), time, order)
        if isinstance(time, float) and are_years:
            return ValueError(f"the year {quoted(text)} alone is not a time")
        if isinstance(time, float):
            return _compact(str(text).strip()) if is_compact else _counted(text, time, unit)
        return time

    return [_bounded(text, settle(text, time)) for text, time in zip(times, parsed_times, strict=True)]


def is_time(text: object) -> bool:
    """Return whether a text can be a time in some column."""
    return not isinstance(_parse(text), ValueError)


def unit_ms(size: float) -> float:
    """Return the unit in ms of numbers of this size."""
    return next(unit for least, unit in _UNITS_MS if size >= least)


def _parse(time: object) -> Parsed:
    """Return a bare number as a float, a date as whole milliseconds, or the numbers of a date in ambiguous order."""
    if isinstance(time, datetime):
        return epoch_ms(time)
    if isinstance(time, date):
        return epoch_ms(datetime(time.year, time.month, time.day))
    text = str(time).strip()
    if is_missing(text):
        return ValueError("the time is missing")
    if len(text) > CELL_CHARS:
        return ValueError(f"{quoted(text)} is not a time")
    try:
        number = float(text)
    except ValueError:
        return _open(text) or _iso(text)
    return number if 0 <= number < float("inf") else ValueError(f"the time {quoted(text)} lies before 1970 or nowhere")


def _bounded(text: object, at_ms: int | ValueError) -> int | ValueError:
    if isinstance(at_ms, ValueError) or 0 <= at_ms <= LAST_MS:
        return at_ms
    return ValueError(f"the time {quoted(text)} lies {'before 1970' if at_ms < 0 else 'after the year 9999'}")


def _counted(text: object, number: float, unit: float) -> int | ValueError:
    own = unit_ms(number)
    if own != unit:
        problem = f"the time {quoted(text)} counts {_UNIT_NAMES[own]}, most others {_UNIT_NAMES[unit]}"
        return ValueError(problem)
    return round(number * unit)


def _compact(text: str) -> int | ValueError:
    return _iso(f"{text[:8]}T{text[8:]}" if len(text) > 8 else text, text)


def _open(text: str) -> tuple[int, int, int, str] | None:
    """Return first number, second number, year and rest of a date that begins with the day or the month."""
    match = _NUMERIC.fullmatch(text)
    if match is None:
        return None
    return int(match[1]), int(match[3]), int(match[4]), match[2] + match[5]


def _order(dates: Sequence[tuple[int, int, int, str]]) -> str:
    """Return the first number of the dates of a column: "day", "month", or "" for an ambiguous order."""
    first = any(date[0] > 12 for date in dates)
    second = any(date[1] > 12 for date in dates)
    if first != second:
        return "day" if first else "month"
    return (
        "" if first or not all(date[3].startswith(".") for date in dates) else "day"
    )  # dates with points always begin with the day


def _dated(text: str, numbers: tuple[int, int, int, str], order: str) -> int | ValueError:
    first, second, year, rest = numbers
    if first == second or first > 12 or second > 12:
        day, month = (first, second) if first > 12 or first == second else (second, first)
    elif order:
        day, month = (first, second) if order == "day" else (second, first)
    else:
        return ValueError(f"{quoted(text)} may begin with the day or the month: the column does not show which")
    return _iso(f"{year:04}-{month:02}-{day:02}{rest[1:]}", text)


def _iso(text: str, original: str = "") -> int | ValueError:
    """Return the time of a text; `original` is its spelling in the file, for the error."""
    original = original or text
    text = _OFFSET.sub(lambda match: f"{match[1]}{match[2]}{int(match[3]):02}:{match[4] or '00'}", text)
    zone, match = None, _ZONE.fullmatch(text)
    if match is not None:
        zone = UTC if match[2] in ("UTC", "GMT", "Z") else zone_named(match[2])
        text = match[1] if zone is not None else text
    try:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = _worded(text)
        return epoch_ms(moment if moment.tzinfo or zone is None else moment.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        return ValueError(f"{quoted(original)} is not a time")


def _worded(text: str) -> datetime:
    """Return the time of a text with the name of a month, or with a time of day in another form.

    Raises:
        ValueError: the text is not a time, or lacks a part of the date.
    """
    if not _WHOLE_YEAR.search(text):
        raise ValueError(f"{text!r} has no year of four digits")
    guesses = {
        dateutil.parse(text, default=default, yearfirst=True, tzinfos=_refused)
        for default in (datetime(2001, 1, 1), datetime(2002, 2, 2))
    }
    if len(guesses) != 1:
        raise ValueError(f"{text!r} is not a whole date")
    return cast("datetime", guesses.pop())


def _refused(name: str | None, offset_s: int | None) -> tzinfo | int | None:
    if name in (None, "UTC", "GMT", "Z"):
        return offset_s or 0
    raise ValueError(f"{name} is the name of several time zones")
