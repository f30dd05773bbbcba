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
from schemas.limit import LAST_MS

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


def _statement(table: str) -> str:
    """Return the statement of the sums over the outcomes in a table.

    Its arguments are the experiment; the times from which and before which outcomes count; those from which and before
    which they are earlier ones; the gains of the best order; and the time of the first pause, with the number of users
    before it who are a sample.
    """
    return f"""
WITH shown AS MATERIALIZED (
    SELECT *, arms ->> $1 AS arm, left(outcome_id, -position(':' IN reverse(outcome_id))) AS list_id
    FROM {table} WHERE shown_at >= $2 AND shown_at < $3 AND arms ? $1
), popularity AS (
    SELECT item_id, -ln(count(*)::double precision / sum(count(*)) OVER ()) / ln(2) AS bits FROM shown GROUP BY 1
), lists AS (
    SELECT user_id, count(DISTINCT arm) AS arm_count, min(arm) AS arm, min(shown_at) AS first_at, {_TOTALS},
           sum(ln(2) / ln(place + 2)) FILTER (WHERE clicks > 0) AS gain, count(DISTINCT category) AS categories,
           sum(popularity.bits) AS bits
    FROM shown JOIN popularity USING (item_id) GROUP BY user_id, list_id
), users AS (
    SELECT user_id, CASE WHEN max(arm_count) = 1 AND min(arm) = max(arm) THEN min(arm) END AS arm,
           min(first_at) AS first_at, sum(clicks) AS clicks, sum(items) AS items, sum(conversions) AS conversions,
           sum(dwell_ms) AS dwell_ms, sum(skips) AS skips, sum(dislikes) AS dislikes, sum(bits) AS bits,
           count(*) FILTER (WHERE clicks > 0) AS clicked_lists,
           coalesce(sum(gain / ($6::double precision[])[least(clicks, 100)]) FILTER (WHERE clicks > 0), 0) AS gain,
           count(*) FILTER (WHERE items > 1) AS long_lists,
           coalesce(sum((categories - 1)::double precision / (items - 1)) FILTER (WHERE items > 1), 0) AS diversity
    FROM lists GROUP BY user_id
), numbered AS (
    SELECT *, first_at < $7 AS is_before,
           row_number() OVER (PARTITION BY arm IS NULL ORDER BY first_at, user_id) AS number
    FROM users
), earlier AS (
    SELECT user_id, {_TOTALS} FROM {table}
    WHERE shown_at >= $4 AND shown_at < $5 AND user_id IN (SELECT user_id FROM users) GROUP BY user_id
)
SELECT users.arm, count(*) AS users, count(*) FILTER (WHERE is_before) AS users_before,
       count(*) FILTER (WHERE is_before AND number <= $8) AS sample_users,
       {", ".join(f"{_sums(ratio)} AS {name}" for name, ratio in _RATIOS.items())}
FROM numbered AS users LEFT JOIN earlier USING (user_id) GROUP BY users.arm
"""  # noqa: S608 - all names and expressions are ours


@dataclass(frozen=True, slots=True)
class ArmSums:
    """Sums over the users of an arm."""

    users: int
    users_before: int
    """Users who came before the first pause of an arm of the experiment."""
    sample_users: int
    """Those of them who are among the first ones of all arms."""
    sums: Mapping[str, list[float]]
    """By metric: four sums of totals (numerator, denominator, and both before the experiment), and the ten sums of the
    products of two of them, in the order of `itertools.combinations_with_replacement`."""


@dataclass(frozen=True, slots=True)
class ExperimentSums:
    """Sums over the users of an experiment."""

    start_ms: int
    """Time of the first outcome that may count, in ms since the epoch."""
    arms: Mapping[str, ArmSums]
    """By the name of the arm; those without users are missing."""
    users_of_several_arms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SumsQuery:
    """The outcomes that count. Times are in ms since the epoch."""

    experiment_id: str
    start_ms: int | None = None
    """Start of the experiment; by default the first outcome."""
    from_ms: int | None = None
    """Time from which outcomes count, if not from the start."""
    until_ms: int | None = None
    """Time before which they count."""
    first_pause_ms: int | None = None
    sample_size: int = 0
    """Number of users before the first pause who are counted apart."""


class PostgresExperimentSums:
    """Reads the outcomes of experiments.

    Args:
        pool: Connections to the archive.
        table: The table of outcomes: `outcomes`, or `early_outcomes`, of which earlier ones are not read.
    """

    def __init__(self, pool: asyncpg.Pool, table: str = "outcomes") -> None:
        self._pool, self._table = pool, table

    async def read(self, query: SumsQuery) -> ExperimentSums | None:
        """Return the sums of an experiment; None without any outcome.

        Args:
            query: The outcomes that count.

        Raises:
            StoreError: PostgreSQL does not answer.
        """
        with write_errors("reading the outcomes of an experiment"):
            async with self._pool.acquire() as connection, connection.transaction(readonly=True):
                return await experiment_sums(connection, query, table=self._table)


async def experiment_sums(connection: Any, query: SumsQuery, *, table: str = "outcomes") -> ExperimentSums | None:
    """Return the sums of an experiment over a connection; see `PostgresExperimentSums.read`.

    Args:
        connection: A connection.
        query: The outcomes that count.
        table: The table of outcomes.
    """
    start_ms = query.start_ms
    if start_ms is None:
        first_at = await connection.fetchval(
            f"SELECT min(shown_at) FROM {table} WHERE arms ? $1",  # noqa: S608 - the name is ours
            query.experiment_id,
        )
        if first_at is None:
            return None
        start_ms = round(first_at.timestamp() * 1_000)
    earlier_ms = start_ms - EARLIER_MS if table == "outcomes" else start_ms
    rows = await connection.fetch(
        _statement(table),
        query.experiment_id,
        utc_time(max(start_ms, query.from_ms or 0)),
        utc_time(LAST_MS if query.until_ms is None else query.until_ms),
        utc_time(earlier_ms),
        utc_time(start_ms),
        _BEST_GAINS,
        utc_time(LAST_MS if query.first_pause_ms is None else query.first_pause_ms),
        query.sample_size,
    )
    arms = {
        row["arm"]: ArmSums(
            row["users"], row["users_before"], row["sample_users"], {name: row[name] for name in METRICS}
        )
        for row in rows
    }
    several = arms.pop(None, None)
    return ExperimentSums(start_ms, arms, several.users if several else 0) if arms or several else None
