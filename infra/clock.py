"""The wall clock, in milliseconds like the timestamps of all records."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Return the current time in ms since the epoch."""
    return time.time_ns() // 1_000_000
