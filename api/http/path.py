"""Ids in paths. An id may hold slashes: clients send them as `%2F`, as `encodeURIComponent` does.

A server decodes the path before routes are tried; then `/interaction/aggregate%2Fann`, the user "aggregate/ann", could
not be told from `/interaction/aggregate/ann`. `with_slashes_kept` puts a mark in place of each encoded slash, and the
parameters of routes at `of_ids` get their slashes back. They take plain slashes as well: where these fit several
routes, the first one has them.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import Scope

_MARK = "\udc2f"
"""Half of a character, which no decoded path can hold."""


class IdConvertor(Convertor[str]):
    """Any text, line breaks and nothing at all included: what is no id is for handlers to refuse."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        """Return the id."""
        return value.replace(_MARK, "/")

    def to_string(self, value: str) -> str:
        """Return the id as it stands in a path."""
        return quote(value, safe="")


register_url_convertor("id", IdConvertor())


def of_ids(path: str) -> str:
    """Return a declared path, such as `/results/{user_id}`, as Starlette takes it: each parameter is an id."""
    return re.sub(r"{(\w+)}", r"{\1:id}", path)


def with_slashes_kept(scope: Scope) -> Scope:
    """Return a request whose path tells encoded slashes from plain ones; the one given, where none is encoded."""
    raw = scope.get("raw_path") or b""
    if b"%2" not in raw or b"%2f" not in raw.lower():
        return scope
    path = raw.decode("ascii", "replace").replace("%2F", _MARK).replace("%2f", _MARK)
    return {**scope, "path": unquote(path)}
