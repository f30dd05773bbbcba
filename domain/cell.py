"""Validation of H3 cell indexes."""

from __future__ import annotations

import re

import h3

_INDEX = re.compile(r"[0-9a-fA-F]{1,16}")


def is_cell(text: str | None) -> bool:
    """Return whether a text is the index of an H3 cell.

    The library itself accepts any hexadecimal number, and raises OverflowError for more than 64 bits.

    >>> is_cell("872a1072bffffff"), is_cell("872a1072b"), is_cell("f" * 17), is_cell("-1")
    (True, False, False, False)
    """
    return text is not None and _INDEX.fullmatch(text) is not None and bool(h3.is_valid_cell(text))
