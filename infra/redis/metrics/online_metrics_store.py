"""Online metrics: figures of ten minutes each, as `online_metrics:{interval}` in Redis for a day, or in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec
from redis.asyncio import Redis

from domain.timestamp import DAY_MS, HOUR_MS, MINUTE_MS
from infra.redis.connection import store_errors

KEY = "online_metrics:"
INTERVAL_MS = 10 * MINUTE_MS
"""Length of an interval."""
KEPT_MS = DAY_MS + HOUR_MS
"""Time for which the figures of an interval are kept, in ms."""


class IntervalFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures to add to those of an interval."""

    outcomes: int = 0
    """Positive actions of users who had a feed."""
    hits: int = 0
    """Outcomes whose item was among the first ten."""
    gain: float = 0.0
    """Sum of 1 / log2(1 + rank) over the hits."""
    items: frozenset[str] = frozenset()
    """Items among the first ten of a feed."""


class OnlineMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics of an interval, from what was served. A rate without any case is null."""

    outcomes: int
    hit_rate: float | None = msgspec.field(name="hr@10")
    ndcg: float | None = msgspec.field(name="ndcg@10")
    items: int
    """Distinct items among the first ten of all feeds ranked; an estimate within 1 %."""


class OnlineMetricsStore(Protocol):
    """Keeps the figures of a day. All methods raise `StoreError` if the store does not answer."""

    async def add(self, figures: Mapping[int, IntervalFigures]) -> None:
        """Add figures by number of the interval, its time over `INTERVAL_MS`; those older than a day are ignored."""
        ...

    async def read(self, span_ms: int) -> OnlineMetrics:
        """Return the metrics of the last hour or day.

        Args:
            span_ms: Length of the time up to now, in ms; at most a day. It is rounded up to whole intervals.
        """
        ...


class MemoryOnlineMetricsStore:
    """The figures in memory."""

    def __init__(self, *, clock_s: Callable[[], float] = time.time) -> None:
        """Start from zero.

        Args:
            clock_s: The clock, in seconds since the epoch.
        """
        self._clock_s = clock_s
        self._figures: dict[int, list[IntervalFigures]] = {}

    async def add(self, figures: Mapping[int, IntervalFigures]) -> None:
        """Add figures."""
        for number in current_numbers(figures, self._clock_s()):
            self._figures.setdefault(number, []).append(figures[number])

    async def read(self, span_ms: int) -> OnlineMetrics:
        """Return the metrics of a time."""
        additions = [
            one for number in interval_numbers(span_ms, self._clock_s()) for one in self._figures.get(number, ())
        ]
        totals = {name: sum(getattr(one, name) for one in additions) for name in _SUMS}
        return _metrics(totals, len(frozenset[str]().union(*(one.items for one in additions))))


class RedisOnlineMetricsStore:
    """The figures in Redis: a hash of sums and a HyperLogLog of items for each interval."""

    def __init__(self, redis: Redis, *, clock_s: Callable[[], float] = time.time) -> None:
        """Create a store.

        Args:
            redis: The client.
            clock_s: The clock, in seconds since the epoch.
        """
        self._redis, self._clock_s = redis, clock_s

    async def add(self, figures: Mapping[int, IntervalFigures]) -> None:
        """Add figures, all or none of an interval."""
        pipeline = self._redis.pipeline(transaction=True)
        for number in current_numbers(figures, self._clock_s()):
            for name in _SUMS:
                if value := getattr(figures[number], name):
                    pipeline.hincrbyfloat(_sums(number), name, value)
            pipeline.pexpire(_sums(number), KEPT_MS)
            if figures[number].items:
                pipeline.pfadd(_items(number), *figures[number].items)
                pipeline.pexpire(_items(number), KEPT_MS)
        with store_errors("adding to the online metrics"):
            await pipeline.execute()

    async def read(self, span_ms: int) -> OnlineMetrics:
        """Return the metrics of a time."""
        numbers = interval_numbers(span_ms, self._clock_s())
        pipeline = self._redis.pipeline(transaction=False)
        for number in numbers:
            pipeline.hgetall(_sums(number))
        pipeline.pfcount(*(_items(number) for number in numbers))
        with store_errors("reading the online metrics"):
            *sums, items = await pipeline.execute()
        totals = {name: sum(float(one.get(name.encode(), 0)) for one in sums) for name in _SUMS}
        return _metrics(totals, items)


_SUMS = ("outcomes", "hits", "gain")


def _sums(number: int) -> str:
    return f"{KEY}{number}"


def _items(number: int) -> str:
    return f"{KEY}{number}:items"


def interval_numbers(span_ms: int, now_s: float) -> Sequence[int]:
    """Return the numbers of the intervals of a time up to now.

    Args:
        span_ms: Length of the time in ms.
        now_s: The present time, in seconds since the epoch.
    """
    newest = int(now_s * 1_000) // INTERVAL_MS
    return range(newest - -(-span_ms // INTERVAL_MS), newest + 1)


def current_numbers(numbers: Iterable[int], now_s: float) -> list[int]:
    """Return those numbers of intervals that are of the last day.

    Args:
        numbers: Numbers of intervals.
        now_s: The present time, in seconds since the epoch.
    """
    present_numbers = interval_numbers(DAY_MS, now_s)
    return [number for number in numbers if number in present_numbers]


def _metrics(totals: Mapping[str, float], items: int) -> OnlineMetrics:
    def _rate(name: str, of: str) -> float | None:
        return round(totals[name] / totals[of], 4) if totals[of] else None

    return OnlineMetrics(
        outcomes=round(totals["outcomes"]),
        hit_rate=_rate("hits", "outcomes"),
        ndcg=_rate("gain", "outcomes"),
        items=items,
    )
