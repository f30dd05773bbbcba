"""Summaries of latencies."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the percentile of sorted values by the nearest-rank method, for a share from 0 to 1.

    Raises:
        ValueError: there are no values.
    """
    if not ordered:
        raise ValueError("there are no values")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary_ms(latencies_ms: Sequence[float]) -> dict[str, float]:
    """Return the 50th, 95th and 99th percentile."""
    ordered = sorted(latencies_ms)
    return {f"p{percent}_ms": round(percentile(ordered, percent / 100), 2) for percent in (50, 95, 99)}
