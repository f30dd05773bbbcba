"""Sums over the comparisons with the arms of a shadow, from the archive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import asyncpg

from domain.timestamp import utc_time
from infra.postgres.pool import write_errors

_MEASURES = {
    "overlap": "overlap",
    "rank_biased_overlap": "rank_biased_overlap",
    "first_place_changes": "is_first_changed::int::double precision",
    "score_difference": "score_difference",
    "shown_ranking_ms": "shown_ranking_ms",
    "ranking_ms": "ranking_ms",
}
"""Expressions over a comparison whose sums make the means, by figure."""
_SPANS = {"total": "", "last_hour": " FILTER (WHERE compared_at >= $2)"}
_DIMENSIONS = ("sources", "categories")
_TOTALS = f"""
SELECT arm, {
    ", ".join(
        f"count(*){span} AS rankings_{name}, "
        + ", ".join(f"sum({value}){span} AS {measure}_{name}" for measure, value in _MEASURES.items())
        for name, span in _SPANS.items()
    )
}
FROM shadow_comparisons WHERE experiment_id = $1 GROUP BY arm
"""  # noqa: S608 - all expressions are ours
_COUNTS = f"""
SELECT arm, dimension, label, {
    ", ".join(
        f"coalesce(sum({column}){span}, 0)::float8 AS {column}_{name}"
        for name, span in _SPANS.items()
        for column in ("shown", "shadow")
    )
}
FROM shadow_comparisons, LATERAL (
    {
    " UNION ALL ".join(
        f"SELECT '{dimension}' AS dimension, key AS label, value::int AS shown, 0 AS shadow"
        f" FROM jsonb_each_text(shown_{dimension})"
        f" UNION ALL SELECT '{dimension}', key, 0, value::int FROM jsonb_each_text({dimension})"
        for dimension in _DIMENSIONS
    )
}
) AS counts
WHERE experiment_id = $1 GROUP BY arm, dimension, label
"""  # noqa: S608 - all expressions are ours


@dataclass(frozen=True, slots=True)
class ShadowSums:
    """Sums over the comparisons of an arm within a time."""

    rankings: int = 0
    sums: Mapping[str, float] = field(default_factory=dict)
    """By figure of `ShadowFigures`; empty without comparisons."""
    counts: dict[str, dict[str, tuple[float, float]]] = field(
        default_factory=lambda: {dimension: {} for dimension in _DIMENSIONS}
    )
    """Numbers of items among the first ten shown, and among the shadow's, by sources or categories, and label."""


class PostgresShadowSums:
    """Reads the sums from the archive.

    Args:
        pool: Connections to PostgreSQL.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def read(self, experiment_id: str, *, hour_since_ms: int) -> dict[str, dict[str, ShadowSums]]:
        """Return the sums of a shadow, by arm and by time: `total` and `last_hour`.

        Args:
            experiment_id: The shadow.
            hour_since_ms: Beginning of the last hour, in ms since the epoch.

        Raises:
            StoreError: PostgreSQL does not answer.
        """
        arguments = (experiment_id, utc_time(hour_since_ms))
        with write_errors("adding up comparisons with shadows"):
            async with self._pool.acquire() as connection:
                totals = await connection.fetch(_TOTALS, *arguments)
                counts = await connection.fetch(_COUNTS, *arguments)
        sums_by_arm = {
            row["arm"]: {
                span: ShadowSums(
                    row[f"rankings_{span}"],
                    {measure: row[f"{measure}_{span}"] for measure in _MEASURES} if row[f"rankings_{span}"] else {},
                )
                for span in _SPANS
            }
            for row in totals
        }
        for row in counts:
            for span, sums in sums_by_arm.get(row["arm"], {}).items():
                numbers = row[f"shown_{span}"], row[f"shadow_{span}"]
                if any(numbers):
                    sums.counts[row["dimension"]][row["label"]] = numbers
        return sums_by_arm
