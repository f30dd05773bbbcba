"""The archive's views for analysts and its partitions by month, on the real PostgreSQL."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import pytest

from domain.timestamp import DAY_MS, HOUR_MS, utc_time
from infra import clock
from infra.postgres.month_partitions import MonthPartitions
from schemas.types import Feed, FeedItems, Impression, Outcome, ShownItem
from streams.roles.archive.archive_role import HISTORY_TABLES, WRITES
from tests.build import a_feed, an_interaction, an_item
from topics.topic import FEEDS, IMPRESSIONS, INTERACTIONS, ITEMS, OUTCOMES, Topic

MONDAY = datetime(2026, 11, 2, 10, tzinfo=UTC)
T0 = round(MONDAY.timestamp() * 1000)
DAY_1, DAY_2 = date(2026, 11, 2), date(2026, 11, 3)


class Place(NamedTuple):
    """A position in Kafka."""

    timestamp: int = T0
    topic: str = ""
    partition: int = 0
    offset: int = 0


def an_impression(user_id: str, at_ms: int, surface: str, *item_ids: str) -> Impression:
    items = [ShownItem(item_id=item_id, position=number) for number, item_id in enumerate(item_ids)]
    return Impression(
        event_id=f"{user_id}-{at_ms}", user_id=user_id, items=items, surface=surface, occurred_at=T0 + at_ms
    )


def an_outcome(impression: Impression, place: int, **overrides: Any) -> Outcome:
    item = impression.items[place]
    fields: dict[str, Any] = {
        **{"user_id": impression.user_id, "outcome_id": f"{impression.event_id}:{place}", "item_id": item.item_id},
        **{
            "place": place,
            "surface": impression.surface,
            "source": "trending",
            "model": "blend-1",
            "category": "music",
        },
        **{"shown_at": impression.occurred_at, "closed_at": impression.occurred_at + HOUR_MS},
    }
    return Outcome(**(fields | overrides))


def an_old_feed(user_id: str, at_ms: int, *, latency_ms: int) -> Feed:
    at_ms += T0
    return a_feed(user_id=user_id, generated_at=at_ms, features_version=at_ms - latency_ms, watermark=at_ms)


def an_act(user_id: str, item_id: str, action: str, at_ms: int) -> Any:
    return an_interaction(user_id=user_id, item_id=item_id, action=action, occurred_at=T0 + at_ms)


SHOWN = [
    an_impression("ann", 1_000, "home", "i1", "i2"),
    an_impression("ann", DAY_MS + 1_000, "home", "i1", "i3"),
    an_impression("ben", 2_000, "mail", "i2", "i9"),
]
RECORDS: dict[Topic, list[Any]] = {
    ITEMS: [an_item(f"i{n}") for n in range(1, 5)],
    FEEDS: [
        an_old_feed("ann", 0, latency_ms=250),
        an_old_feed("ann", DAY_MS, latency_ms=750),
        an_old_feed("ben", 0, latency_ms=500),
    ],
    IMPRESSIONS: SHOWN,
    OUTCOMES: [
        an_outcome(SHOWN[0], 0),
        an_outcome(SHOWN[0], 0, clicks=2, arms={"homepage": "b", "list": "a"}),
        an_outcome(SHOWN[0], 1, source="popular", arms={"homepage": "a"}),
        an_outcome(SHOWN[1], 0, arms={"homepage": "b"}),
        an_outcome(SHOWN[1], 1),
        an_outcome(SHOWN[2], 0, clicks=1, conversions=1, source="popular", arms={"homepage": "a"}),
        an_outcome(SHOWN[2], 1, source="", model="", category=""),
    ],
    INTERACTIONS: [
        an_act("ann", "i1", "click", 10_000),
        an_act("ann", "i2", "view", 11_000),
        an_act("ben", "i2", "purchase", 20_000),
        an_act("ann", "i3", "like", DAY_MS + HOUR_MS + 2_000),  # too late
        an_act("ann", "i2", "click", 7 * DAY_MS),
    ],
}


async def write(pool: asyncpg.Pool, topic: Topic, records: list[Any]) -> None:
    """Write records as the archive role does, into partitions of any age."""
    _, statement, rows_of = WRITES[topic.name]
    rows = [row for offset, record in enumerate(records) for row in rows_of(Place(offset=offset), record)]
    async with pool.acquire() as connection:
        if topic.name in HISTORY_TABLES:
            await MonthPartitions(HISTORY_TABLES[topic.name], days=1e5).prepare(connection, [row[0] for row in rows])
        await connection.executemany(statement, rows)


VIEWS: dict[str, list[tuple[Any, ...]]] = {
    "clicks_by_source": [("trending", 3, 1, pytest.approx(1 / 3)), ("popular", 2, 1, 0.5), ("", 1, 0, 0.0)],
    "clicks_by_position": [(0, 3, 2, pytest.approx(2 / 3)), (1, 3, 0, 0.0)],
    "clicks_by_surface": [("home", 4, 1, 0.25), ("mail", 2, 1, 0.5)],
    "clicks_by_model": [("blend-1", 5, 2, 0.4), ("", 1, 0, 0.0)],
    "clicks_by_category": [("music", 5, 2, 0.4), ("", 1, 0, 0.0)],
    "clicks_by_arm": [("homepage", "a", 2, 1, 0.5, 2), ("homepage", "b", 2, 1, 0.5, 1), ("list", "a", 1, 1, 1.0, 1)],
    "clicks_by_day": [(DAY_1, 4, 2, 0.5, 2), (DAY_2, 2, 0, 0.0, 1)],
    "clicks_by_item": [
        ("i1", "Title of i1", "music", 2, 1, 0.5),
        ("i2", "Title of i2", "music", 2, 1, 0.5),
        ("i3", "Title of i3", "music", 1, 0, 0.0),
        ("i9", None, None, 1, 0, 0.0),
    ],
    "retention_by_week": [(DAY_1, 0, 2, 2, 1.0), (DAY_1, 1, 1, 2, 0.5)],
    "coverage_by_day": [(DAY_1, 2, 4, 0.5), (DAY_2, 2, 4, 0.5)],
    "novelty_by_day": [(DAY_1, 4, 0.5), (DAY_2, 2, 1.0)],
    "latency_by_day": [
        (DAY_1, 2, 375.0, pytest.approx(487.5), pytest.approx(497.5), 500.0),
        (DAY_2, 1, 750.0, 750.0, 750.0, 750.0),
    ],
}
"""The rows of each view over `RECORDS`."""


@pytest.mark.parametrize("view", VIEWS)
async def test_a_view_answers_its_question(pool: asyncpg.Pool, view: str) -> None:
    for topic, records in RECORDS.items():
        await write(pool, topic, records)
    rows = [tuple(row) for row in await pool.fetch(f"SELECT * FROM {view}")]
    assert len(rows) == len(VIEWS[view])
    for row in VIEWS[view]:
        assert any(row == other for other in rows), (row, rows)


async def recommendations(pool: asyncpg.Pool, user_id: str) -> list[tuple[Any, ...]]:
    """Return a user's recommendations by rank: content, title, the three scores and the source."""
    rows = await pool.fetch("SELECT * FROM recommendations WHERE user_id = $1 ORDER BY rank", user_id)
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    names = ("content_id", "title", "ml_score", "llm_score", "combined_score", "source")
    return [tuple(row[name] for name in names) for row in rows]


async def test_recommendations_are_the_newest_feed_of_each_user_with_its_scores(pool: asyncpg.Pool) -> None:
    old = a_feed(user_id="ann", features_version=1, generated_at=T0)
    parts = {"trending": [9.0], "popular": [0.0]}
    others = FeedItems(items=["i4"], scores=[9.0], sources=["popular"], reasons=["x"], parts=parts)
    feeds = [
        a_feed(user_id="ann", features_version=2, generated_at=T0 - 1, scores=[6.0, 1.0, 2.0], others=others),
        a_feed(user_id="ben", generated_at=T0, scores=[2.0, 2.0, 2.0]),
        a_feed(
            user_id="eve",
            generated_at=T0,
            items=["i1", "i9", "i3"],
            scores=[0.75, 0.5, 0.0],
            ml_scores=[1.0, 0.5, 0.0],
            llm_scores={"i1": 0.375},
        ),
    ]
    await write(pool, ITEMS, [an_item(f"i{n}") for n in range(1, 5)])
    await write(pool, FEEDS, [old, *feeds])
    assert await recommendations(pool, "ann") == [
        ("i1", "Title of i1", 1.0, None, 1.0, "trending"),
        ("i2", "Title of i2", 0.0, None, 0.0, "popular"),
        ("i3", "Title of i3", pytest.approx(0.2), None, pytest.approx(0.2), "trending"),
    ]
    assert [row[2:5] for row in await recommendations(pool, "ben")] == [(0.5, None, 0.5)] * 3
    assert await recommendations(pool, "eve") == [
        ("i1", "Title of i1", 1.0, 0.375, 0.75, "trending"),
        ("i9", None, 0.5, None, 0.5, "popular"),
        ("i3", "Title of i3", 0.0, None, 0.0, "trending"),
    ]
    assert await recommendations(pool, "nobody") == []


async def test_the_newest_record_of_an_outcome_is_kept_whatever_comes_again(pool: asyncpg.Pool) -> None:
    for _ in range(2):
        await write(pool, OUTCOMES, RECORDS[OUTCOMES])
    rows = await pool.fetch("SELECT * FROM outcomes ORDER BY shown_at, place")
    assert [(row["outcome_id"], row["clicks"]) for row in rows][:2] == [("ann-1000:0", 2), ("ann-1000:1", 0)]
    assert len(rows) == 6
    assert (rows[0]["arms"], rows[0]["offset"]) == ({"homepage": "b", "list": "a"}, 1)
    assert rows[0]["closed_at"] == utc_time(T0 + 1_000 + HOUR_MS)


async def test_months_are_made_for_rows_and_dropped_past_retention(pool: asyncpg.Pool) -> None:
    now = utc_time(clock.now_ms())
    table = MonthPartitions("impressions", days=90)
    long_ago = now - timedelta(days=400)
    assert [table.is_kept(at) for at in (now, now - timedelta(days=89), now - timedelta(days=91))] == [
        True,
        True,
        False,
    ]
    assert not MonthPartitions("impressions", days=0).is_kept(now)
    async with pool.acquire() as connection:
        await table.prepare(connection, [now, long_ago, long_ago])
        await table.prepare(connection, [now, long_ago])
        assert await table.drop_old(connection) != []
        names = [row["relname"] for row in await connection.fetch("SELECT relname FROM pg_class WHERE relkind = 'r'")]
        assert table.name_of(now) in names
        assert table.name_of(long_ago) not in names
        await table.prepare(connection, [long_ago])
        assert await table.drop_old(connection) == [table.name_of(long_ago)]
