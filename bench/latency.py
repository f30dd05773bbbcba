"""Summaries of many latencies."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that so large a share of the values does not exceed (nearest rank).

    Raises:
        ValueError: there are no values.
    """
    if not ordered:
        raise ValueError("there are no values")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary_ms(latencies_ms: Sequence[float]) -> dict[str, float]:
    """Return the percentiles that are reported."""
    ordered = sorted(latencies_ms)
    return {f"p{percent}_ms": round(percentile(ordered, percent / 100), 2) for percent in (50, 95, 99)}
