"""Visit times: interactions with items by hour of the day and day of the week, as columns over all items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streams.core.item.item_stats import HOURS, WEEKDAYS
from streams.core.ranking.catalog.item_columns import Column

_GROWTH = 1_024
_PRIOR_VISITS = np.float32(20.0)
"""Prior interactions with an item, at the times of all others."""
_HOUR_WIDTH = 1.5
"""Deviation in hours of the smoothing over the hours of a day."""


class VisitTimes:
    """Decayed interactions: a row for each hour, smoothed over its neighbours, then one for each day of the week."""

    def __init__(self) -> None:
        self._sums = np.zeros((HOURS + WEEKDAYS, _GROWTH), np.float32)
        self._totals = np.zeros(_GROWTH, np.float32)

    def put(self, index: int, hours: Sequence[float], weekdays: Sequence[float]) -> None:
        """Set the sums of an item.

        Args:
            index: The item.
            hours: Its sum at each hour.
            weekdays: Its sum on each day.
        """
        while index >= len(self._totals):
            self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)], axis=1)
            self._totals = np.concatenate([self._totals, np.zeros_like(self._totals)])
        self._sums[:HOURS, index], self._sums[HOURS:, index] = _SMOOTHING @ hours, weekdays
        self._totals[index] = sum(hours)

    def hour_lift(self, hour: int, count: int) -> Column:
        """Return (count,) log ratios of the share of an hour in an item's interactions to its share in all.

        They are shrunk towards 0, the value of an item without interactions.

        Args:
            hour: The hour of the day.
            count: Number of items.
        """
        return self._lift(hour, count)

    def weekday_lift(self, weekday: int, count: int) -> Column:
        """Return the same for a day of the week.

        Args:
            weekday: The day; 0 is a Thursday.
            count: Number of items.
        """
        return self._lift(HOURS + weekday, count)

    def _lift(self, row: int, count: int) -> Column:
        lifts = np.zeros(count, np.float32)
        sums, totals = self._sums[row, :count], self._totals[:count]
        at_time, all_time = float(sums.sum()), float(totals.sum())
        if at_time > 0:
            expected = totals + _PRIOR_VISITS
            lifts[: len(sums)] = np.log((sums * np.float32(all_time / at_time) + _PRIOR_VISITS) / expected)
        return lifts


def _smoothing_matrix() -> NDArray[np.float64]:
    """Return (hours, hours) weights of all hours in the sum of each; rows add up to 1."""
    apart = np.abs(np.subtract.outer(np.arange(HOURS), np.arange(HOURS)))
    weights = np.exp(-((np.minimum(apart, HOURS - apart) / _HOUR_WIDTH) ** 2) / 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


_SMOOTHING = _smoothing_matrix()
