"""Durations on the command line."""

from __future__ import annotations

import re

from infra.error import OperatorError

_UNITS_S = {"s": 1, "min": 60, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)")


def parse_duration(text: str) -> float:
    """Return the seconds that a duration such as 90s, 30min, 1.5h or 7d lasts.

    Raises:
        OperatorError: the text is no duration.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise OperatorError(f"{text!r} is no duration.", "Give a number and a unit: 90s, 30min, 1h or 7d.")
    return float(match[1]) * _UNITS_S[match[2]]
