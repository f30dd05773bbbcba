"""Click rates: impressions and clicks of ten minutes each by label, as `click_rates:{interval}` in Redis for a day.

The outcomes role writes the figures of each partition of users whole, so that writing them again changes nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec
from redis.asyncio import Redis

from infra.redis.connection import store_errors
from infra.redis.metrics.online_metrics_store import KEPT_MS, current_numbers, interval_numbers

KEY = "click_rates:"
MAX_LABELS = 20
"""Labels of a dimension in an answer; the others are added up."""
OTHER = "other"
DIMENSIONS = ("place", "source", "arm", "model", "category")
_ALL = "all"
_ANSWER_S = 5.0
"""Time for which an answer is kept, in seconds: a day has many figures, and pages ask every two seconds."""

Figures = Mapping[str, Mapping[str, tuple[int, int]]]
"""Impressions and clicked impressions by dimension and label."""
_decoder = msgspec.msgpack.Decoder(dict[str, dict[str, tuple[int, int]]])


class LabelRate(msgspec.Struct, frozen=True, kw_only=True):
    """The impressions of a label, and those with a click. Without impressions the rate is null."""

    label: str
    impressions: int
    clicks: int
    click_through_rate: float | None


class ClickRates(msgspec.Struct, frozen=True, kw_only=True):
    """Impressions of a time, by when they were shown, and those that were clicked since."""

    impressions: int
    clicks: int
    click_through_rate: float | None
    by: dict[str, list[LabelRate]]
    """By place, source, arm (experiment=arm), model and category, the most impressions first."""


class ClickRateStore(Protocol):
    """Keeps the figures of a day. All methods raise `StoreError` if the store does not answer."""

    async def write(self, partition: int, figures: Mapping[int, Figures]) -> None:
        """Write the figures of a partition of users by number of the interval; those older than a day are ignored.

        Args:
            partition: Number of the partition.
            figures: All figures of each interval, in the place of earlier ones.
        """
        ...

    async def read(self, span_ms: int) -> ClickRates:
        """Return the rates of the last hour or day.

        Args:
            span_ms: Length of the time up to now, in ms; at most a day. It is rounded up to whole intervals.
        """
        ...


class MemoryClickRateStore:
    """The figures in memory."""

    def __init__(self, *, clock_s: Callable[[], float] = time.time) -> None:
        """Start without figures.

        Args:
            clock_s: The clock, in seconds since the epoch.
        """
        self._clock_s = clock_s
        self._figures: dict[tuple[int, int], Figures] = {}

    async def write(self, partition: int, figures: Mapping[int, Figures]) -> None:
        """Write figures."""
        self._figures |= {(number, partition): figures[number] for number in current_numbers(figures, self._clock_s())}

    async def read(self, span_ms: int) -> ClickRates:
        """Return the rates of a time."""
        numbers = interval_numbers(span_ms, self._clock_s())
        return _rates(one for (number, _), one in self._figures.items() if number in numbers)


class RedisClickRateStore:
    """The figures in Redis: a hash for each interval, by partition. Answers are kept for a few seconds."""

    def __init__(self, redis: Redis, *, clock_s: Callable[[], float] = time.time) -> None:
        """Create a store.

        Args:
            redis: The client.
            clock_s: The clock, in seconds since the epoch.
        """
        self._redis, self._clock_s = redis, clock_s
        self._answers: dict[int, tuple[float, ClickRates]] = {}
        """The last answer for each span, with its time in seconds since the epoch."""

    async def write(self, partition: int, figures: Mapping[int, Figures]) -> None:
        """Write figures."""
        self._answers.clear()
        pipeline = self._redis.pipeline(transaction=False)
        for number in current_numbers(figures, self._clock_s()):
            pipeline.hset(f"{KEY}{number}", str(partition), msgspec.msgpack.encode(figures[number]))
            pipeline.pexpire(f"{KEY}{number}", KEPT_MS)
        with store_errors("writing click rates"):
            await pipeline.execute()

    async def read(self, span_ms: int) -> ClickRates:
        """Return the rates of a time."""
        now_s = self._clock_s()
        read_s, rates = self._answers.get(span_ms, (0.0, None))
        if rates is not None and 0 <= now_s - read_s < _ANSWER_S:
            return rates
        pipeline = self._redis.pipeline(transaction=False)
        for number in interval_numbers(span_ms, now_s):
            pipeline.hvals(f"{KEY}{number}")
        with store_errors("reading click rates"):
            answers: list[list[bytes]] = await pipeline.execute()
        rates = _rates(_decoder.decode(data) for values in answers for data in values)
        self._answers[span_ms] = now_s, rates
        return rates


def _rates(figures: Iterable[Figures]) -> ClickRates:
    impressions: Counter[tuple[str, str]] = Counter()
    clicks: Counter[tuple[str, str]] = Counter()
    for one in figures:
        for dimension, by_label in one.items():
            for label, (shown_count, click_count) in by_label.items():
                impressions[dimension, label] += shown_count
                clicks[dimension, label] += click_count
    total: Any = (impressions[_ALL, ""], clicks[_ALL, ""])
    return ClickRates(
        impressions=total[0],
        clicks=total[1],
        click_through_rate=_rate(*total),
        by={
            dimension: _label_rates(
                {
                    label: (count, clicks[dimension, label])
                    for (one, label), count in impressions.items()
                    if one == dimension
                }
            )
            for dimension in DIMENSIONS
        },
    )


def _label_rates(counts: Mapping[str, tuple[int, int]]) -> list[LabelRate]:
    """Return the rates of a dimension, the most impressions first, with all beyond `MAX_LABELS` as one."""
    labels = sorted(counts, key=lambda label: (label == OTHER, -counts[label][0], label))
    rows = [(label, *counts[label]) for label in labels]
    kept_rows, rest = (rows, []) if len(rows) <= MAX_LABELS + 1 else (rows[:MAX_LABELS], rows[MAX_LABELS:])
    if rest:
        kept_rows.append((OTHER, sum(row[1] for row in rest), sum(row[2] for row in rest)))
    return [
        LabelRate(
            label=label, impressions=shown_count, clicks=click_count, click_through_rate=_rate(shown_count, click_count)
        )
        for label, shown_count, click_count in kept_rows
        if shown_count
    ]


def _rate(impressions: int, clicks: int) -> float | None:
    return round(clicks / impressions, 4) if impressions else None
