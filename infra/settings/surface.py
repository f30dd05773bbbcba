"""Surfaces: parts of an application, each with feeds of the kinds of items that it shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from infra.settings.setting import comma_separated

ALL = "all"
"""The name of the feed of all kinds."""
_REST = "*"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_MOST = 16


@dataclass(frozen=True, slots=True)
class Surface:
    """The kinds of items that a surface shows."""

    kinds: frozenset[str]
    excluded_kinds: frozenset[str] | None = None
    """The kinds of the other surfaces, if this one shows all others; None if it shows its own only."""

    def shows(self, kind: str) -> bool:
        """Return whether items of a kind are shown."""
        return kind in self.kinds or (self.excluded_kinds is not None and kind not in self.excluded_kinds)


@cache
def parse_surfaces(text: str) -> Mapping[str, Surface]:
    """Return the surfaces by name, the same objects for the same text, so that parameters made of them are equal.

    Args:
        text: A list of `surface=kind|kind`; the kind `*` stands for all that no surface names, those of items without
            a kind among them.

    Raises:
        ValueError: the text is no such list, or names a surface twice.

    >>> surfaces = parse_surfaces("content=*, shop=product|bundle")
    >>> surfaces["content"].shows(""), surfaces["content"].shows("product"), surfaces["shop"].shows("bundle")
    (True, False, True)
    """
    kinds_by_name: dict[str, frozenset[str]] = {}
    for entry in comma_separated(text):
        name, _, kinds = (part.strip() for part in entry.partition("="))
        if not _NAME.fullmatch(name) or name == ALL or name in kinds_by_name:
            raise ValueError(f"{name!r} cannot be the name of a surface")
        kinds_by_name[name] = frozenset(kind.strip() for kind in kinds.split("|"))
        if "" in kinds_by_name[name]:
            raise ValueError(f"{entry!r} names no kind")
    if len(kinds_by_name) > _MOST:
        raise ValueError(f"there are more than {_MOST} surfaces")
    all_kinds = frozenset[str]().union(*kinds_by_name.values()) - {_REST}
    return {
        name: Surface(kinds - {_REST}, all_kinds - kinds if _REST in kinds else None)
        for name, kinds in kinds_by_name.items()
    }
