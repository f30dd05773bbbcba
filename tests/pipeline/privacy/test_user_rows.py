"""The rows of a user in PostgreSQL: older ones go, newer ones and those of others stay, and no table is forgotten."""

from __future__ import annotations

import asyncpg

from domain.timestamp import utc_time
from infra.postgres.month_partitions import MonthPartitions
from infra.postgres.user_rows import TABLES, erase_rows, user_rows
from tests.build import T0_MS

_INTERACTION = """
INSERT INTO interactions (event_id, user_id, action, context, occurred_at, appended_at, topic, partition, "offset")
VALUES ($1, $2, 'view', '{}', $3, $3, 'interactions.v1', 0, 0)
"""
_IMPRESSION = """
INSERT INTO impressions
  (occurred_at, user_id, event_id, number, item_id, position, surface, appended_at, topic, partition, "offset")
VALUES ($3, $2, $1, 0, 'i1', 0, '', $3, 'impressions.v1', 0, 0)
"""
_OUTCOME = """
INSERT INTO outcomes
  (shown_at, user_id, outcome_id, item_id, place, surface, source, category, model, policy, arms, features_version,
   closed_at, clicks, likes, dislikes, skips, conversions, dwell_ms, is_reported,
   appended_at, topic, partition, "offset")
VALUES ($3, $2, $1, 'i1', 0, '', '', '', '', '', '{}', -1, $3, 0, 0, 0, 0, 0, 0, true, $3, 'outcomes.v1', 0, 0)
"""
_EARLY_OUTCOME = """
INSERT INTO early_outcomes
  (shown_at, user_id, outcome_id, item_id, place, category, arms, clicks, dislikes, skips, conversions, dwell_ms,
   appended_at, topic, partition, "offset")
VALUES ($3, $2, $1, 'i1', 0, '', '{}', 0, 0, 0, 0, 0, $3, 'early-outcomes.v1', 0, 0)
"""
_FEED = """
INSERT INTO feed_history
  (generated_at, user_id, features_version, model, items, sources, feed, appended_at, topic, partition, "offset")
VALUES ($3, $2, length($1), '', '{}', '{}', '', $3, 'feeds.v1', 0, 0)
"""

_SHADOW_COMPARISON = """
INSERT INTO shadow_comparisons
  (changed_at, user_id, experiment_id, arm, features_version, compared_at, overlap, rank_biased_overlap,
   is_first_changed, score_difference, items, policy, shown_sources, sources, shown_categories, categories,
   shown_ranking_ms, ranking_ms, appended_at, topic, partition, "offset")
VALUES ($3, $2, $1, '', 0, $3, 1, 1, false, 0, '{}', '', '{}', '{}', '{}', '{}', 1, 1, $3, '', 0, 0)
"""


async def fill(pool: asyncpg.Pool, user_id: str, at_ms: int) -> None:
    """Write a row of a user to each table."""
    async with pool.acquire() as connection:
        for table in ("impressions", "outcomes", "early_outcomes", "feed_history", "shadow_comparisons"):
            await MonthPartitions(table, days=1e6).prepare(connection, [utc_time(at_ms)])
        for statement in (_INTERACTION, _IMPRESSION, _OUTCOME, _EARLY_OUTCOME, _FEED, _SHADOW_COMPARISON):
            await connection.execute(statement, f"e-{at_ms}", user_id, utc_time(at_ms))


async def test_every_table_with_users_is_erased_and_exported(pool: asyncpg.Pool) -> None:
    rows = await pool.fetch(
        "SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " WHERE a.attname = 'user_id' AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " AND c.relnamespace = 'public'::regnamespace"
    )
    assert {row["relname"] for row in rows} == set(TABLES)


async def test_older_rows_go_and_newer_ones_and_those_of_others_stay(pool: asyncpg.Pool) -> None:
    for user_id in ("alex", "alexandra"):
        for at_ms in (T0_MS, T0_MS + 5, T0_MS + 6):
            await fill(pool, user_id, at_ms)
    async with pool.acquire() as connection:
        counts = await erase_rows(connection, "alex", T0_MS + 5)
        assert counts == {f"postgresql: {table}": 2 for table in TABLES}
        for table in TABLES:
            assert [row["appended_at"] for row in await user_rows(connection, "alex", table, limit=9)] == [
                utc_time(T0_MS + 6)
            ]
            assert len(await user_rows(connection, "alexandra", table, limit=2)) == 2
        assert await erase_rows(connection, "alex", T0_MS + 5) == dict.fromkeys(counts, 0)
