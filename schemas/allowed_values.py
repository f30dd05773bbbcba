"""The values that a field of a body or query may have, for errors that name them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from msgspec import inspect

_HIDDEN = frozenset({"unknown"})
"""Values that records may have and that no client sends."""
_PART = re.compile(r"\[[^]]*\]|[^.\[]+")


@lru_cache(1_000)
def allowed_values(kind: Any, field: str) -> tuple[str, ...]:
    """Return the values that a field may have; empty where any value of its type is allowed.

    Args:
        kind: The type that the body or query is decoded as.
        field: The path of the field as errors name it, such as `interactions[0].action`.
    """
    types = [inspect.type_info(kind)]
    for part in _PART.findall(field):
        types = [inner for one in types for inner in _inner(one, part)]
    literals = [one for outer in types for one in _members(outer) if isinstance(one, inspect.LiteralType)]
    return tuple(str(value) for one in literals for value in one.values if value not in _HIDDEN)


def _inner(kind: inspect.Type, part: str) -> list[inspect.Type]:
    """Return the types of one step of a path: a field of an object, or the entries of a list or mapping."""
    inner: list[inspect.Type] = []
    for one in _members(kind):
        if isinstance(one, inspect.StructType):
            inner += [field.type for field in one.fields if field.encode_name == part]
        elif isinstance(one, inspect.ListType):
            inner.append(one.item_type)
        elif isinstance(one, inspect.DictType):
            inner.append(one.value_type)
    return inner


def _members(kind: inspect.Type) -> list[inspect.Type]:
    """Return the types of a union, without their metadata; a list of one for any other type."""
    if isinstance(kind, inspect.Metadata):
        return _members(kind.type)
    return [member for one in kind.types for member in _members(one)] if isinstance(kind, inspect.UnionType) else [kind]
