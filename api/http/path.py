"""Ids in paths. An id may contain slashes, which clients encode as `%2F`, as `encodeURIComponent` does.

A server decodes the path before it matches routes; `/interaction/aggregate%2Fann` (the user "aggregate/ann") would
then equal `/interaction/aggregate/ann`. `with_slashes_kept` replaces each encoded slash by a placeholder, and the
parameters of routes made by `of_ids` restore the slashes. Parameters also accept plain slashes: if several routes
match, the first one wins.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import Scope

_MARK = "\udc2f"
"""A lone surrogate, which no decoded path can contain."""


class IdConvertor(Convertor[str]):
    """A path parameter of any text, including line breaks and the empty string; handlers reject invalid ids."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        """Return the id."""
        return value.replace(_MARK, "/")

    def to_string(self, value: str) -> str:
        """Return the id, encoded for a path."""
        return quote(value, safe="")


register_url_convertor("id", IdConvertor())


def of_ids(path: str) -> str:
    """Return a declared path, such as `/results/{user_id}`, in Starlette's syntax, with id parameters."""
    return re.sub(r"{(\w+)}", r"{\1:id}", path)


def with_slashes_kept(scope: Scope) -> Scope:
    """Return a scope whose path distinguishes encoded slashes from plain ones; the same scope if none is encoded."""
    raw = scope.get("raw_path") or b""
    if b"%2" not in raw or b"%2f" not in raw.lower():
        return scope
    path = raw.decode("ascii", "replace").replace("%2F", _MARK).replace("%2f", _MARK)
    return {**scope, "path": unquote(path)}
