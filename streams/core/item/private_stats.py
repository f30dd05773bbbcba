"""Private statistics: the statistics of all items once a day, from sums of users' choices under noise.

They take the place of exact statistics where `PRIVATE_STATISTICS_EPSILON` is set. A release is (epsilon, delta)
differentially private for all data of a user together: its input are the bounded choices of each user, and the noise
is that of the Gaussian mechanism for the sums of all kinds together (Dwork and Roth 2014, appendix A). All items of
the catalogue have sums, also those that nobody chose, so that a sum does not tell that there is one. Names of
demographic groups are users' own words: a group is left out unless its noisy number of users is beyond what one user
could reach (Korolova et al. 2009).

Each sum is averaged with those released before, as long as the noise is large beside it. That is further computation
on releases, which costs no privacy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import structs
from numpy.typing import NDArray
from scipy.special import ndtri

from domain.timestamp import DAY_MS
from models import decay
from schemas.types import ItemStats
from streams.core.item.item_stats import HORIZON_RATES, HOURS, SEGMENTS, WEEKDAYS
from streams.core.item.keyed_noise import KeyedNoise, normal_scale
from streams.core.item.user_choices import AGES, CELLS, FIRST, FIRST_COHORTS, LAST, UNITS, UserChoices
from streams.core.params import PrivateStatsParams, SignalParams

MECHANISM = "Gaussian (Balle and Wang 2018), keyed"
_AGES, _FIRST, _LATER, _IN_SEGMENT, _SEGMENT_USERS = 0.5, 0.15, 0.25, 0.06, 0.04
"""Shares of the budget for the sums by age, those of the first cohorts, those of the later ones, those in demographic
groups, and the groups' numbers of users."""
_MEAN_AGES_MS = np.array([0.5, 3.5, 17.0, 90.0]) * DAY_MS
"""Age that stands for each range of ages, in ms."""
_RELEASES = 28
"""Number of releases that a mean goes back where the noise is large."""
_EXACT_ENOUGH = 20.0
"""Multiple of the noise from which on a number needs no averaging."""
_ERRORS = 2.0
"""Number of standard errors below which a mean counts as 0."""
_NO_HOURS, _NO_WEEKDAYS = [0.0] * HOURS, [0.0] * WEEKDAYS


@dataclass(frozen=True, slots=True)
class StatsNoise:
    """Standard deviations of the noise of a release."""

    cells: NDArray[np.float64]
    """(CELLS,) those of the sums of an item, in units."""
    segment: NDArray[np.float64]
    """(1,) that of the sum of an item in a demographic group, in units."""
    segment_users: NDArray[np.float64]
    """(1,) that of the number of users in a group."""
    least_users: float
    """Noisy number of users from which on a group is named: one user, half a user of rounding, and the noise."""

    @classmethod
    def of(cls, params: PrivateStatsParams) -> StatsNoise:
        """Return the noise of a guarantee; half of delta is for the names of groups."""
        scale = normal_scale(params.epsilon, params.delta / 2.0)
        variances = [LAST / _AGES, FIRST / _FIRST, LAST / _LATER]
        segment_users = scale / math.sqrt(_SEGMENT_USERS)
        return cls(
            cells=scale * UNITS * np.sqrt(np.repeat(variances, [AGES, FIRST_COHORTS, CELLS - AGES - FIRST_COHORTS])),
            segment=scale * UNITS * np.sqrt([LAST / _IN_SEGMENT]),
            segment_users=np.array([segment_users]),
            least_users=1.5 + segment_users * float(-ndtri(params.delta / 2.0)),
        )


def release(
    choices: UserChoices,
    item_ids: Sequence[str],
    earlier: Mapping[str, ItemStats],
    *,
    at_ms: int,
    params: PrivateStatsParams,
    signal: SignalParams,
) -> Iterator[ItemStats]:
    """Yield the statistics of items as of a time.

    Args:
        choices: The choices of all users before that time.
        item_ids: The items: those of the catalogue, and all that have earlier statistics.
        earlier: The statistics published last, by item.
        at_ms: The time, in ms since the epoch.
        params: The guarantee and the key of the noise.
        signal: The decay of trends and popularity.
    """
    noise, keyed_noise = StatsNoise.of(params), KeyedNoise(params.key, at_ms)
    before = [earlier.get(item_id) for item_id in item_ids]
    numbers = np.array([1 + (stats.releases if stats is not None else 0) for stats in before])[:, None]
    noisy = keyed_noise.noisy(choices.by_cell(item_ids, at_ms), noise.cells, [f"item {one}" for one in item_ids])
    past_sums = [stats.choice_sums if stats is not None and stats.choice_sums else [0.0] * CELLS for stats in before]
    past = np.array(past_sums).reshape(noisy.shape)
    means = _means(noisy / UNITS, past, numbers, noise.cells / UNITS)
    kept_sums = _kept(means, numbers, noise.cells / UNITS)
    segment_means, kept_segments = {}, {}
    for segment in _named_segments(choices, keyed_noise, noise):
        sums = choices.in_segment(segment, item_ids)[:, None]
        noisy = keyed_noise.noisy(sums, noise.segment, [f"{len(one)} {one} {segment}" for one in item_ids])
        past_values = [stats.segment_sums.get(segment) if stats is not None else None for stats in before]
        past = np.array([[value or 0.0] for value in past_values]).reshape(noisy.shape)
        since = np.where(np.array([value is None for value in past_values])[:, None], 1, numbers)
        column = _means(noisy / UNITS, past, since, noise.segment / UNITS)
        segment_means[segment] = column[:, 0].tolist()
        kept_segments[segment] = _kept(column, since, noise.segment / UNITS)[:, 0].tolist()
    for index, item_id in enumerate(item_ids):
        segments = {segment: column[index] for segment, column in kept_segments.items()}
        yield structs.replace(
            _stats(item_id, kept_sums[index], segments, before[index], at_ms=at_ms, signal=signal),
            releases=int(numbers[index, 0]),
            choice_sums=means[index].tolist(),
            segment_sums={segment: column[index] for segment, column in segment_means.items()},
        )


def _named_segments(choices: UserChoices, keyed_noise: KeyedNoise, noise: StatsNoise) -> list[str]:
    """Return the demographic groups that may be named, the largest first."""
    users = choices.users_by_segment()
    names = sorted(users)
    counts = np.array([[users[name]] for name in names], np.int64).reshape(-1, 1)
    noisy = keyed_noise.noisy(counts, noise.segment_users, [f"segment {name}" for name in names])[:, 0]
    order = np.lexsort((np.arange(len(names)), -noisy))
    return [names[index] for index in order.tolist() if noisy[index] >= noise.least_users][:SEGMENTS]


def _means(
    noisy: NDArray[np.float64], past: NDArray[np.float64], numbers: NDArray[np.int64], scales: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (n, m) sums, averaged with those of the past as far as the noise is large beside them.

    Args:
        noisy: (n, m) the sums of this release.
        past: (n, m) the means of those before.
        numbers: (n, 1) the number of releases, this one included.
        scales: (m,) standard deviations of the noise.
    """
    gains = np.maximum(1.0 / np.minimum(numbers, _RELEASES), np.minimum(past / (_EXACT_ENOUGH * scales), 1.0))
    return past + gains * (noisy - past)


def _kept(means: NDArray[np.float64], numbers: NDArray[np.int64], scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means that are no mere noise; 0 for the others."""
    errors = scales / np.sqrt(np.minimum(numbers, 2 * _RELEASES - 1))
    return np.where(means >= _ERRORS * errors, means, 0.0)


def _stats(
    item_id: str,
    sums: NDArray[np.float64],
    segment_sums: Mapping[str, float],
    before: ItemStats | None,
    *,
    at_ms: int,
    signal: SignalParams,
) -> ItemStats:
    """Return the statistics that follow from the sums of an item."""
    ages, cohorts = sums[:AGES], sums[AGES:].tolist()

    def log_sum(rate: float) -> float:
        return _log(float(ages @ np.exp(-rate * _MEAN_AGES_MS)), rate, at_ms)

    total = float(ages.sum())
    segments = {name: _log(sum_, signal.popularity_rate, at_ms) for name, sum_ in segment_sums.items() if sum_}
    first_at = before.first_at if before is not None and before.releases else 0
    return ItemStats(
        item_id=item_id,
        trending=log_sum(signal.trending_rate),
        popularity=log_sum(signal.popularity_rate),
        segments=segments if before is None else _emptied(before.segments) | segments,
        watermark=at_ms,
        horizons=[log_sum(rate) for rate in HORIZON_RATES],
        cohorts=[_log(sum_, signal.popularity_rate, at_ms) for sum_ in cohorts],
        first_at=first_at or (at_ms if total else 0),
        hours=_NO_HOURS,
        weekdays=_NO_WEEKDAYS,
        evidence_for=total,
        evidence_against=0.0,
    )


def _emptied(segments: Mapping[str, float]) -> dict[str, float]:
    """Return empty sums for the demographic groups that had any."""
    return {name: decay.EMPTY for name, log_sum in segments.items() if log_sum > decay.EMPTY}


def _log(sum_: float, rate: float, at_ms: int) -> float:
    """Return the logarithm of a sum at a time, relative to the epoch."""
    return math.log(sum_) + rate * at_ms if sum_ > 0.0 else decay.EMPTY
