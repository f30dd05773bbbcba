"""Names with the highest event rates, in bounded memory: a Misra-Gries summary with exponential decay.

An event at time t adds exp(t / minute) to the sum of its name (forward decay, see `models.decay`), so that a sum
divided by exp(now / minute) is a rate per minute in which an event of a minute ago counts 1/e. Once there are more than
twice `capacity` names, the sum of rank `capacity` + 1 is subtracted from all, and names with nothing left are dropped.
A rate is therefore never above the true one, and at most the rate of all events / (`capacity` + 1) below it.

Misra and Gries, Finding Repeated Elements, 1982; Anderson et al., A High-Performance Algorithm for Identifying Frequent
Items in Data Streams, IMC 2017.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import nlargest
from operator import itemgetter

from models import decay

CAPACITY = 1_024
_MIN_PER_MINUTE = 1.0
"""Lower rates are not listed: they indicate no flood, and names of users are personal data."""
_MINUTE_MS = 60_000
_HALF_LIFE_MS = _MINUTE_MS * math.log(2)
_MAX_HALF_LIVES = 64.0


class HeavyHitters:
    """Counts events by name, and lists the names with the highest rates."""

    def __init__(self, now_ms: Callable[[], int], *, capacity: int = CAPACITY) -> None:
        """Start with no events.

        Args:
            now_ms: The clock, in ms since the epoch.
            capacity: The guaranteed number of names; up to twice as many are in memory.
        """
        self._now_ms, self._capacity = now_ms, capacity
        self._sums: dict[str, float] = {}
        self._reference_ms = 0
        """The time at which an event adds 1."""
        self._latest_ms = 0
        """The latest time that the clock has returned."""

    def __len__(self) -> int:
        """Return the number of names in memory."""
        return len(self._sums)

    def add(self, name: str, at_ms: int) -> None:
        """Count an event of a name at a time in ms since the epoch; one ahead of the clock counts as now."""
        at_ms = min(at_ms, self._now())
        half_lives = (at_ms - self._reference_ms) / _HALF_LIFE_MS
        if half_lives > _MAX_HALF_LIVES:
            self._rescale(at_ms, decay.factor(-half_lives))
            half_lives = 0.0
        self._sums[name] = self._sums.get(name, 0.0) + decay.factor(half_lives)
        if len(self._sums) > 2 * self._capacity:
            cut = sorted(self._sums.values(), reverse=True)[self._capacity]
            self._sums = {name: sum_ - cut for name, sum_ in self._sums.items() if sum_ > cut}

    def highest(self, limit: int) -> list[tuple[str, float]]:
        """Return at most so many names with the highest rates now, in events per minute, highest first."""
        factor = decay.factor((self._reference_ms - self._now()) / _HALF_LIFE_MS)
        largest = nlargest(limit, self._sums.items(), key=itemgetter(1))
        return [(name, round(sum_ * factor, 1)) for name, sum_ in largest if sum_ * factor >= _MIN_PER_MINUTE]

    def forget(self, name: str) -> None:
        """Forget the events of a name."""
        self._sums.pop(name, None)

    def clear(self) -> None:
        """Forget all events."""
        self._sums.clear()
        self._reference_ms = self._latest_ms = 0

    def _now(self) -> int:
        """Return the time, which does not run backwards; a step back of over a minute resets the counts."""
        now_ms = self._now_ms()
        if now_ms < self._latest_ms - _MINUTE_MS:
            self.clear()
        self._latest_ms = max(now_ms, self._latest_ms)
        return self._latest_ms

    def _rescale(self, at_ms: int, factor: float) -> None:
        """Move the reference before sums grow too large for a float."""
        self._sums = {name: sum_ * factor for name, sum_ in self._sums.items()}
        self._reference_ms = at_ms
