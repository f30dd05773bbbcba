"""Sums over the users of an experiment's arms, from the outcomes in the archive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import log
from typing import Any, NamedTuple

import asyncpg

from domain.experiment_results import METRICS
from domain.timestamp import DAY_MS, utc_time
from infra.postgres.pool import write_errors

EARLIER_MS = 28 * DAY_MS
"""Time before an experiment whose outcomes are the covariate of its users."""


class _RatioSums(NamedTuple):
    """Expressions over a user's totals, whose sums a metric divides; those of the time before the experiment follow."""

    numerator: str
    denominator: str
    earlier_numerator: str = "0"
    earlier_denominator: str = "1"


_SHOWN, _EARLIER_SHOWN = "users.items", "coalesce(earlier.items, 0)"
_RATIOS: Mapping[str, _RatioSums] = {
    "click_through_rate": _RatioSums("users.clicks", _SHOWN, "coalesce(earlier.clicks, 0)", _EARLIER_SHOWN),
    "conversion_rate": _RatioSums("(users.conversions > 0)::int", "1", "(coalesce(earlier.conversions, 0) > 0)::int"),
    "dwell_ms": _RatioSums("users.dwell_ms", _SHOWN, "coalesce(earlier.dwell_ms, 0)", _EARLIER_SHOWN),
    "skip_rate": _RatioSums("users.skips", _SHOWN, "coalesce(earlier.skips, 0)", _EARLIER_SHOWN),
    "dislike_rate": _RatioSums("users.dislikes", _SHOWN, "coalesce(earlier.dislikes, 0)", _EARLIER_SHOWN),
    "items_shown": _RatioSums(_SHOWN, "1", _EARLIER_SHOWN),
    "ndcg": _RatioSums("users.gain", "users.clicked_lists"),
    "diversity": _RatioSums("users.diversity", "users.long_lists"),
    "novelty": _RatioSums("users.bits", _SHOWN),
}
assert _RATIOS.keys() == METRICS.keys()
_BEST_GAINS = [sum(log(2) / log(place + 2) for place in range(count)) for count in range(1, 101)]
"""Gains of the best order of a list, by the number of items acted on, up to 100."""
_TOTALS = """
count(*) FILTER (WHERE clicks > 0) AS clicks, count(*) AS items, sum(conversions) AS conversions,
sum(dwell_ms) AS dwell_ms, count(*) FILTER (WHERE skips > 0) AS skips, count(*) FILTER (WHERE dislikes > 0) AS dislikes
"""


def _sums(ratio: _RatioSums) -> str:
    """Return the array of the sums of four totals, and of the products of two of them, as `products` orders them."""
    values = [f"({expression})::double precision" for expression in ratio]
    products = [f"{one} * {other}" for one, other in combinations_with_replacement(values, 2)]
    return f"ARRAY[{', '.join(f'sum({value})' for value in (*values, *products))}]"


_SINCE = "SELECT min(shown_at) FROM outcomes WHERE arms ? $1"
_STATEMENT = f"""
WITH shown AS MATERIALIZED (
    SELECT *, arms ->> $1 AS arm, left(outcome_id, -position(':' IN reverse(outcome_id))) AS list_id
    FROM outcomes WHERE shown_at >= $2 AND arms ? $1
), popularity AS (
    SELECT item_id, -ln(count(*)::double precision / sum(count(*)) OVER ()) / ln(2) AS bits FROM shown GROUP BY 1
), lists AS (
    SELECT user_id, count(DISTINCT arm) AS arm_count, min(arm) AS arm, {_TOTALS},
           sum(ln(2) / ln(place + 2)) FILTER (WHERE clicks > 0) AS gain, count(DISTINCT category) AS categories,
           sum(popularity.bits) AS bits
    FROM shown JOIN popularity USING (item_id) GROUP BY user_id, list_id
), users AS (
    SELECT user_id, CASE WHEN max(arm_count) = 1 AND min(arm) = max(arm) THEN min(arm) END AS arm,
           sum(clicks) AS clicks, sum(items) AS items, sum(conversions) AS conversions, sum(dwell_ms) AS dwell_ms,
           sum(skips) AS skips, sum(dislikes) AS dislikes, sum(bits) AS bits,
           count(*) FILTER (WHERE clicks > 0) AS clicked_lists,
           coalesce(sum(gain / ($4::double precision[])[least(clicks, 100)]) FILTER (WHERE clicks > 0), 0) AS gain,
           count(*) FILTER (WHERE items > 1) AS long_lists,
           coalesce(sum((categories - 1)::double precision / (items - 1)) FILTER (WHERE items > 1), 0) AS diversity
    FROM lists GROUP BY user_id
), earlier AS (
    SELECT user_id, {_TOTALS} FROM outcomes
    WHERE shown_at >= $3 AND shown_at < $2 AND user_id IN (SELECT user_id FROM users) GROUP BY user_id
)
SELECT users.arm, count(*) AS users, {", ".join(f"{_sums(ratio)} AS {name}" for name, ratio in _RATIOS.items())}
FROM users LEFT JOIN earlier USING (user_id) GROUP BY users.arm
"""  # noqa: S608 - all expressions are ours


@dataclass(frozen=True, slots=True)
class ArmSums:
    """Sums over the users of an arm."""

    users: int
    sums: Mapping[str, list[float]]
    """By metric: four sums of totals (numerator, denominator, and both before the experiment), and the ten sums of the
    products of two of them, in the order of `itertools.combinations_with_replacement`."""


@dataclass(frozen=True, slots=True)
class ExperimentSums:
    """Sums over the users of an experiment."""

    since_ms: int
    """Time of the first outcome that counts, in ms since the epoch."""
    arms: Mapping[str, ArmSums]
    """By the name of the arm; those without users are missing."""
    users_of_several_arms: int


class PostgresExperimentSums:
    """Reads the outcomes of experiments."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def read(self, experiment_id: str, *, since_ms: int | None) -> ExperimentSums | None:
        """Return the sums of an experiment; None without any outcome.

        Args:
            experiment_id: The experiment.
            since_ms: Start of the experiment, in ms since the epoch; by default the first outcome.

        Raises:
            StoreError: PostgreSQL does not answer.
        """
        with write_errors("reading the outcomes of an experiment"):
            async with self._pool.acquire() as connection, connection.transaction(readonly=True):
                return await experiment_sums(connection, experiment_id, since_ms=since_ms)


async def experiment_sums(connection: Any, experiment_id: str, *, since_ms: int | None) -> ExperimentSums | None:
    """Return the sums of an experiment over a connection; see `PostgresExperimentSums.read`.

    Args:
        connection: A connection.
        experiment_id: The experiment.
        since_ms: Start of the experiment, in ms since the epoch; by default the first outcome.
    """
    since = await connection.fetchval(_SINCE, experiment_id) if since_ms is None else utc_time(since_ms)
    if since is None:
        return None
    from_ms = round(since.timestamp() * 1_000)
    rows = await connection.fetch(_STATEMENT, experiment_id, since, utc_time(from_ms - EARLIER_MS), _BEST_GAINS)
    arms = {row["arm"]: ArmSums(row["users"], {name: row[name] for name in METRICS}) for row in rows}
    several = arms.pop(None, None)
    return ExperimentSums(from_ms, arms, several.users if several else 0) if arms or several else None
