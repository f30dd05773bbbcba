"""Limits of values beyond their Avro types: the bounds, and the checks of single fields.

A check takes the name of a field and its value, and raises an `OutOfRangeError` that begins with the name. The limits
of whole records are in `record_limit`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from schemas import text
from schemas.codec import DecodeError
from schemas.types import PushPreferences

ID_CHARS = 256
"""Longest id of a user, item, session or request, in characters."""
RESERVED = "~"
"""First character of the ids of shared feeds, which belong to no single user."""
RETRAINER = "trainer"
"""User id of triggers to retrain, which belong to no single user."""
COLLECTOR = "collector"
"""User id of triggers to collect."""
TEXT_CHARS = 4_096
"""Longest description."""
LINE_CHARS = TEXT_CHARS // 4
"""Longest title, query, address or other line."""
QUERY_CHARS = 255
"""Longest search query."""
LIST_ITEMS = 1_000
"""Longest list or map in an event."""
RATING_SCALE = 5.0
"""Default of the highest rating."""
RATING_MAX = 100.0
"""Highest rating of any rating scale."""
VALUE_MAX = 1e6
PRODUCT = "product"
"""Kind of an item that a shop sells."""
PROFILE_FIELDS = ("segment", "categories", "topics", "muted", "timezone", "locale", "city", "attributes")
"""Fields of a profile that users state, all at once or one by one."""
PUSH_FIELDS = PushPreferences.__struct_fields__
"""Push preferences that users state, all at once or one by one."""
TARGETS = ("segment", "city", "timezone", "interest")
"""Attributes of users that experiments may target; an interest is a stated category or topic."""
THRESHOLD_MAX = 1_000.0
"""Highest value threshold of a push."""
FUTURE_MS = 5 * 60 * 1000
"""Largest lead of a client's clock over the broker's."""
FIRST_MS = 788_918_400_000
"""The beginning of 1995, the earliest event time: the oldest rating data sets begin in that year."""
_UNITS = (("seconds", 1_000, 1), ("microseconds", 1, 1_000), ("nanoseconds", 1, 1_000_000))
"""Units that clients confuse with milliseconds, each with the factor and divisor of the conversion."""
LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""
ZERO = "\x00"
"""A character that PostgreSQL rejects in texts."""


class OutOfRangeError(DecodeError):
    """A value outside its limits."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        super().__init__("out_of_range", f"{field} {problem}")


def id_problem(value: str | None) -> str | None:
    """Return the problem of a text as an id, phrased to follow its name; None for a valid id."""
    if not value or len(value) > ID_CHARS:
        return f"must be 1 to {ID_CHARS} characters"
    return text.id_problem(value)


def check_id(field: str, value: str | None) -> None:
    """Check an id, which must be there."""
    problem = id_problem(value)
    if problem is not None:
        raise OutOfRangeError(field, problem)


def check_optional_ids(record: Any, *fields: str) -> None:
    """Check ids of a record that may be missing, by the names of their fields."""
    for field in fields:
        if getattr(record, field) is not None:
            check_id(field, getattr(record, field))


def check_ids(field: str, values: Iterable[str]) -> None:
    """Check a list of ids, or the keys of a map."""
    values = list(values)
    check_size(field, values)
    for value in values:
        check_id(field, value)


def check_text(field: str, value: str | None, longest: int) -> None:
    """Check a line that must be there and not be blank."""
    if not value or not value.strip() or len(value) > longest:
        raise OutOfRangeError(field, f"must be 1 to {longest} characters and not blank")
    check_line(field, value, longest)


def check_lines(record: Any, *fields: str) -> None:
    """Check lines of a record, by the names of their fields; they may be empty or missing."""
    for field in fields:
        check_line(field, getattr(record, field) or "", LINE_CHARS)


def check_line(field: str, value: str, longest: int) -> None:
    """Check a line, which may be empty."""
    check_free_text(field, value, longest)
    problem = text.line_problem(value)
    if problem is not None:
        raise OutOfRangeError(field, problem)


def check_free_text(field: str, value: str, longest: int) -> None:
    """Check a text of any number of lines, which may be empty."""
    if len(value) > longest:
        raise OutOfRangeError(field, f"is longer than {longest} characters")
    if ZERO in value:
        raise OutOfRangeError(field, "holds a zero byte")


def check_map(field: str, values: Mapping[str, str]) -> None:
    """Check a map of texts by id."""
    check_size(field, values)
    key_field = f"{field} key"
    for key, value in values.items():
        check_id(key_field, key)
        if len(value) > TEXT_CHARS or ZERO in value:
            check_free_text(f"{field}[{key}]", value, TEXT_CHARS)


def check_size(field: str, values: Collection[Any]) -> None:
    """Check that a list or a map is not too long."""
    if len(values) > LIST_ITEMS:
        raise OutOfRangeError(field, f"has more than {LIST_ITEMS} entries")


def check_names(field: str, names: Iterable[str], allowed_names: Collection[str]) -> None:
    """Check that names are among the allowed ones."""
    for name in names:
        if name not in allowed_names:
            raise OutOfRangeError(field, f"may only hold {', '.join(allowed_names)}")


def check_known(field: str, symbol: str) -> None:
    """Check that a symbol is known: requests with an unknown one cannot be served."""
    if symbol == "unknown":
        raise OutOfRangeError(field, "is not one that is known here")


def check_number(field: str, value: float, low: float, high: float) -> None:
    """Check that a number lies between two bounds, both included."""
    if not low <= value <= high:  # NaN fails, too
        raise OutOfRangeError(field, f"must be a number from {low:g} to {high:g}, not {value:g}")


def check_numbers(
    field: str, values: Mapping[str, float] | Sequence[float], low: float, high: float, *, besides: float = math.nan
) -> None:
    """Check each number of a map or a list; `besides` is one more value that is allowed."""
    for key, value in values.items() if isinstance(values, Mapping) else enumerate(values):
        if not low <= value <= high and value != besides:
            check_number(f"{field}[{key}]", value, low, high)


def check_time(field: str, value: int, now_ms: int) -> None:
    """Check that a time lies between 1970 and five minutes from now."""
    if not 0 <= value <= now_ms + FUTURE_MS:
        raise OutOfRangeError(field, "must lie between 1970 and five minutes from now, in ms since the epoch")


def check_event_time(field: str, value: int, now_ms: int) -> None:
    """Check that the time of an event lies between 1995 and five minutes from now."""
    latest_ms = now_ms + FUTURE_MS
    if not FIRST_MS <= value <= latest_ms:
        units = [unit for unit, times, over in _UNITS if FIRST_MS <= value * times // over <= latest_ms]
        hint = f"; {value} looks like {units[0]}" if units else f", not {value}"
        raise OutOfRangeError(
            field, f"must be milliseconds since 1970 that lie between 1995 and five minutes from now{hint}"
        )
