"""Formatting of ages."""

from __future__ import annotations


def age(seconds: float) -> str:
    """Return an age in s, min, h or d, whichever suits it."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"
