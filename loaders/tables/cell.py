"""Cells of a table: markers of missing values, and quotation in error messages."""

from __future__ import annotations

_EXACT = frozenset({"NA", "\\N", "#NULL!", "#REF!", "#VALUE!"})
_FOLDED = frozenset({
    "", "null", "(null)", "[null]", "<null>", "nan", "n/a", "#n/a", "#na", "<na>", "none", "nil", "undefined", "nat",
})  # fmt: skip
_DASHES = frozenset("-–—―")


def is_missing(text: str) -> bool:
    """Return whether a cell is empty or holds a marker such as NULL, NaN, N/A or None."""
    text = text.strip()
    return text in _EXACT or text.casefold() in _FOLDED


def is_missing_number(text: str) -> bool:
    """Return whether a cell of numbers is missing; dashes and a question mark are markers, too."""
    return is_missing(text) or set(text.strip()) <= _DASHES or text.strip() == "?"


CELL_CHARS = 100
"""Longest text of a number, a price or a time."""
MESSAGE_CHARS = 1_000
"""Longest line of an error message."""


def printable(message: str) -> str:
    """Return a line of an error message for a terminal: without control characters, and truncated."""
    if not message.isprintable():
        message = "".join(char if char.isprintable() else repr(char)[1:-1] for char in message[:MESSAGE_CHARS])
    return message if len(message) <= MESSAGE_CHARS else f"{message[: MESSAGE_CHARS - 1]}…"


def quoted(text: object) -> str:
    """Return a cell quoted for an error message, truncated."""
    literal = repr(str(text))
    return literal if len(literal) <= CELL_CHARS else f"{literal[: CELL_CHARS - 2]}…{literal[-1]}"
