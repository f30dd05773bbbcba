"""Lenient parser of model output: it keeps the usable part of an answer and reports the rest.

Models write a year as text, null for an unknown text, one object in place of a list, or a list as JSON text, or they
stop in the middle of an entry. The rest of such an answer, which has been paid for, is still usable:

- null and blank text count as absent; unknown fields are ignored;
- numbers and texts are converted if the conversion is lossless; texts and lists that are too long are cut;
- an unreadable optional field is omitted; a list entry without a required field is dropped.

    reading = read([{"items": [{"title": "Trio Night", "year": "1999"}, {"year": 2001}]}], Suggestions)
    reading.value, reading.dropped_count, reading.problems     # one suggestion, 1, ["items[1]: title is missing"]
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Generic, TypeVar, get_type_hints

import msgspec
from msgspec import inspect

A = TypeVar("A", bound=msgspec.Struct)
A_co = TypeVar("A_co", bound=msgspec.Struct, covariant=True)

PROBLEMS = 20
"""Maximum number of problems reported per answer."""
_PROBLEM_CHARS = 200
_LARGEST = 2.0**63
_DEPTH = 4
"""Maximum nesting of wrapper objects with a single property that are unwrapped."""


class UnreadableError(ValueError):
    """No part of an answer is usable; the text says why."""


@dataclass(frozen=True, slots=True)
class Reading(Generic[A_co]):
    """The usable part of an answer."""

    value: A_co
    dropped_count: int
    """Number of unusable list entries."""
    problems: list[str]
    """Omitted values with the reason, at most `PROBLEMS` of them."""


class _FlawError(ValueError):
    """A value that does not fit its type."""


@dataclass(slots=True)
class _Notes:
    """Log of the values omitted while an answer is read."""

    dropped_count: int = 0
    problems: list[str] = field(default_factory=list)

    def drop(self, path: str, error: ValueError) -> None:
        """Record an unusable entry."""
        self.dropped_count += 1
        self.leave_out(path, error)

    def leave_out(self, path: str, error: ValueError) -> None:
        """Record an unusable value."""
        if len(self.problems) < PROBLEMS:
            self.problems.append(printable(f"{path}: {error}")[:_PROBLEM_CHARS])


def read(payloads: Sequence[Any], answer: type[A], *, cut: bool = False) -> Reading[A]:
    """Return the usable part of an answer.

    Args:
        payloads: Output of the model: decoded JSON, or text that contains JSON; the lists of several are joined.
        answer: Type of the answer.
        cut: Whether the model was stopped early, so that the last entry of decoded JSON may be incomplete.

    Raises:
        UnreadableError: no part of it is usable.
    """
    notes = _Notes()
    if not payloads:
        raise UnreadableError("the answer is empty")
    values: dict[str, Any] = {}
    for payload in payloads:
        for name, value in _named(payload, answer, notes, cut=cut).items():
            values[name] = [*_listed(values[name]), *_listed(value)] if name in values else value
    try:
        read_as = _struct(values, answer, "", notes)
    except _FlawError as error:
        raise UnreadableError(str(error)) from error
    if notes.dropped_count and not any(getattr(read_as, name) for name in read_as.__struct_fields__):
        raise UnreadableError(notes.problems[0])
    return Reading(read_as, notes.dropped_count, notes.problems)


def printable(text: str) -> str:
    """Return a text that can be encoded: a model's JSON may contain lone surrogates."""
    return text.encode("utf-8", "replace").decode()


def _named(payload: Any, answer: type[msgspec.Struct], notes: _Notes, *, cut: bool) -> dict[str, Any]:
    """Return the fields of an answer from a payload, unwrapping wrapper objects and bare lists."""
    fields = _fields(answer)
    lists = {name: _plain(one.kind.item_type) for name, one in fields.items() if isinstance(one.kind, inspect.ListType)}
    only, item = next(iter(lists.items())) if len(lists) == 1 else ("", None)
    entry = _fields(item.cls).keys() if isinstance(item, inspect.StructType) else ()
    value, whole = payload, False
    for _ in range(_DEPTH):
        if isinstance(value, str):
            value, whole = _json_in(value), True
        if only and (isinstance(value, list) or (isinstance(value, dict) and value.keys() & entry)):
            value = {only: value}  # the bare list, or a single entry of it
        if not isinstance(value, dict) or value.keys() & fields.keys() or len(value) != 1:
            break
        (value,) = value.values()  # wrapped under a name of the model's own
    if not isinstance(value, dict):
        raise UnreadableError("the answer holds no JSON" if value is None else f"the answer is {_kind_of(value)}")
    values = {name: one for name, one in value.items() if name in fields and one is not None}
    if cut and not whole:
        for name in lists.keys() & values.keys():
            if not isinstance(values[name], str):
                *values[name], _ = _listed(values[name]) or [None]
                notes.drop(f"{name}[{len(values[name])}]", _FlawError("the model was stopped before its end"))
    return values


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a type: its kind, its annotation with limits, and whether it is required."""

    kind: inspect.Type
    annotation: Any
    is_required: bool


@cache
def _fields(answer: type[msgspec.Struct]) -> dict[str, _Field]:
    info = inspect.type_info(answer)
    hints = get_type_hints(answer, include_extras=True)
    assert isinstance(info, inspect.StructType)
    return {one.encode_name: _Field(_plain(one.type), hints[one.name], one.required) for one in info.fields}


def _plain(kind: inspect.Type) -> inspect.Type:
    """Return a type without null and without metadata."""
    if isinstance(kind, inspect.Metadata):
        return _plain(kind.type)
    if isinstance(kind, inspect.UnionType):
        return next(_plain(one) for one in kind.types if not isinstance(one, inspect.NoneType))
    return kind


def _struct(value: Any, answer: type[A], path: str, notes: _Notes) -> A:
    """Return a value as a type, without unreadable optional fields."""
    value = _parsed(value)
    if not isinstance(value, dict):
        raise _FlawError(f"it is {_kind_of(value)}, not an object")
    values: dict[str, Any] = {}
    for name, one in _fields(answer).items():
        raw_value = value.get(name)
        if raw_value is None or (isinstance(raw_value, str) and not raw_value.strip()):
            if one.is_required:
                raise _FlawError(f"{name} is missing")
            continue
        inside = f"{path}.{name}" if path else name
        try:
            values[name] = _converted(raw_value, one, inside, notes)
        except _FlawError as error:
            if one.is_required:
                raise _FlawError(f"{name}: {error}") from error
            notes.leave_out(inside, error)
    return msgspec.convert(values, answer)


def _converted(value: Any, one: _Field, path: str, notes: _Notes) -> Any:
    """Return a field's value converted to its kind, within its limits."""
    kind = one.kind
    if isinstance(kind, inspect.ListType):
        value = _list(value, kind, path, notes)
    elif isinstance(kind, inspect.StructType):
        value = _struct(value, kind.cls, path, notes)
    elif isinstance(kind, inspect.StrType):
        value = _text(value)[: kind.max_length]
    elif isinstance(kind, inspect.FloatType | inspect.IntType):
        value = _number(value)
    try:
        return msgspec.convert(value, one.annotation, strict=False)
    except (msgspec.ValidationError, OverflowError) as error:
        raise _FlawError(str(error)) from error


def _list(value: Any, kind: inspect.ListType, path: str, notes: _Notes) -> list[Any]:
    """Return the usable entries of a list."""
    item = _plain(kind.item_type)
    entries: list[Any] = []
    if isinstance(item, inspect.StructType):
        for number, one in enumerate(_entries(value, _fields(item.cls).keys())):
            try:
                entries.append(_struct(one, item.cls, f"{path}[{number}]", notes))
            except _FlawError as error:
                notes.drop(f"{path}[{number}]", error)
        return entries[: kind.max_length]
    for number, one in enumerate(_listed(_parsed(value))):
        try:
            entries.append(_text(one) if isinstance(item, inspect.StrType) else one)
        except _FlawError as error:
            notes.leave_out(f"{path}[{number}]", error)
    return entries[: kind.max_length]


def _entries(value: Any, names: Iterable[str]) -> list[Any]:
    """Return the objects of a value that should be a list of them: a list, one object, or objects by name."""
    value = _parsed(value)
    if isinstance(value, dict) and value and not value.keys() & set(names):
        value = list(value.values())  # {"item": [...]}, {"0": {...}, "1": {...}}
    flat: list[Any] = []
    for one in _listed(value):
        flat.extend(one if isinstance(one, list) else [one])
    return flat


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _parsed(value: Any) -> Any:
    """Return the JSON data in a text, other values unchanged."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        content = _json_in(value)
        return value if content is None else content
    return value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{_number(value):.15g}" if isinstance(value, float) else str(_number(value))
    raise _FlawError(f"it is {_kind_of(value)}, not text")


def _number(value: Any) -> Any:
    """Return a value unless it is a number, or the text of one, that is not finite or exceeds 64 bits."""
    if isinstance(value, str):
        value = value.strip()
    try:
        size = abs(float(value))
    except OverflowError:
        size = math.inf
    except (ValueError, TypeError):
        return value  # the type conversion reports the problem
    if not size < _LARGEST:  # also true for NaN
        raise _FlawError("it is not a finite number of 64 bits")
    return value


def _kind_of(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def _json_in(text: str) -> Any:
    """Return the first JSON object or list in a text, truncated ones up to their end; None if there is none."""
    starts = [index for index in (text.find("{"), text.find("[")) if index >= 0]
    if not starts:
        return None
    text = text[min(starts) :]
    for attempt in (text, _closed(text)):
        with suppress(ValueError, RecursionError):
            return _decoder.raw_decode(attempt)[0]
    return None


def _closed(text: str) -> str:
    """Return truncated JSON up to its last complete object in a list, with the missing closing brackets."""
    open_: list[str] = []
    inside_text = is_escaped = False
    end, closers = 0, ""
    for index, char in enumerate(text):
        if inside_text:
            inside_text, is_escaped = is_escaped or char != '"', char == "\\" and not is_escaped
        elif char == '"':
            inside_text = True
        elif char in "{[":
            open_.append("}" if char == "{" else "]")
        elif char in "}]" and open_:
            open_.pop()
            if char == "}" and open_ and open_[-1] == "]":
                end, closers = index + 1, "".join(reversed(open_))
    return text[:end] + closers


_decoder = json.JSONDecoder(parse_constant=lambda _: None, strict=False)
