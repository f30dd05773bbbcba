"""Summaries of latencies."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(sorted_ms: Sequence[float], share: float) -> float:
    """Return the percentile of sorted values by the nearest-rank method, for a share from 0 to 1.

    Raises:
        ValueError: there are no values.
    """
    if not sorted_ms:
        raise ValueError("there are no values")
    return sorted_ms[max(0, math.ceil(share * len(sorted_ms)) - 1)]


def summary_ms(latencies_ms: Sequence[float]) -> dict[str, float]:
    """Return the 50th, 95th and 99th percentile."""
    sorted_ms = sorted(latencies_ms)
    return {f"p{percent}_ms": round(percentile(sorted_ms, percent / 100), 2) for percent in (50, 95, 99)}
