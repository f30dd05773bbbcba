"""Accuracy by the length of the user's history, the time since the last event, and the number of learned events."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.timestamp import DAY_MS, HOUR_MS
from evaluation.metrics.accuracy import Accuracy, first_of_case
from evaluation.protocols.replay import ReplayOutcome

EARLIER = (("0", 0, 0), ("1", 1, 1), ("2", 2, 2), ("3-4", 3, 4), ("5-9", 5, 9), ("10+", 10, None))
"""Buckets of the user's earlier events: label, least and most."""
GAPS = (
    ("first event", -1, -1),
    ("same second", 0, 999),
    ("up to 1 h", 1_000, HOUR_MS),
    ("up to 1 day", HOUR_MS + 1, DAY_MS),
    ("over a day", DAY_MS + 1, None),
)
"""Buckets of the time since the user's previous event, in ms: label, least and most."""
_SLICES = 20
"""Number of equal slices of a split, for accuracy as a function of the learned events."""


def by_earlier(outcome: ReplayOutcome, accuracy: Accuracy) -> list[dict[str, Any]]:
    """Return HR@10 and NDCG@10 by the number of the user's earlier events."""
    return _rows(EARLIER, outcome.earlier[first_of_case(outcome)].astype(np.int64), accuracy)


def by_gap(outcome: ReplayOutcome, accuracy: Accuracy) -> list[dict[str, Any]]:
    """Return HR@10 and NDCG@10 by the time since the user's previous event."""
    return _rows(GAPS, outcome.gap_ms[first_of_case(outcome)], accuracy)


def by_learned(outcome: ReplayOutcome, accuracy: Accuracy, *, start: int, end: int) -> list[dict[str, Any]]:
    """Return HR@10 and NDCG@10 by the number of earlier events, from the start of a split to its end."""
    edges = np.linspace(start, end, _SLICES + 1).astype(int).tolist()
    slices = tuple((f"{after:,}", first, after - 1) for first, after in pairwise(edges))
    rows = _rows(slices, outcome.event_index[first_of_case(outcome)].astype(np.int64), accuracy)
    return [{"events": after, **row} for after, row in zip(edges[1:], rows, strict=True)]


def with_earlier(outcome: ReplayOutcome, accuracy: Accuracy) -> dict[str, Any]:
    """Return HR@10 and NDCG@10 of the events of users with an earlier event."""
    return _row("with an earlier event", accuracy.where(outcome.earlier[first_of_case(outcome)] > 0))


def _rows(
    buckets: tuple[tuple[str, int, int | None], ...], values: NDArray[np.int64], accuracy: Accuracy
) -> list[dict[str, Any]]:
    return [
        _row(label, accuracy.where((values >= least) & (values <= most if most is not None else True)))
        for label, least, most in buckets
    ]


def _row(label: str, accuracy: Accuracy) -> dict[str, Any]:
    cases = len(accuracy.hr)
    means = {"hr": float(accuracy.hr.mean()), "ndcg": float(accuracy.ndcg.mean())} if cases else {}
    return {"label": label, "cases": cases, **means}
