"""Splits of a stream: the validation and the test fifth, in the order of time."""

from __future__ import annotations

from typing import Literal

from evaluation.protocols.stream import Stream

Split = Literal["test", "validation", "all"]

SPLITS: dict[Split, tuple[float, float]] = {"test": (0.8, 1.0), "validation": (0.6, 0.8), "all": (0.0, 1.0)}
"""Shares of the events at which each split begins and ends."""


def split_bounds(stream: Stream, split: Split) -> tuple[int, int]:
    """Return the index of the first event of a split, and of the first one after it."""
    first, after = SPLITS[split]
    return int(len(stream) * first), int(len(stream) * after)
