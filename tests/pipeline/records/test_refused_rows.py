"""One row that a server refuses stops no other: it is set aside with its bytes, and a full server is waited for."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from infra import clock
from infra.address import Addresses
from infra.redis.stores.feed_store import KEY as FEED
from infra.redis.stores.feed_store import RedisFeedStore
from infra.redis.stores.interaction_log import KEY as LOGGED
from infra.redis.stores.interaction_log import RedisInteractionLog
from infra.redis.stores.item_store import KEY as ITEM
from infra.redis.stores.item_store import RedisItemStore
from infra.redis.stores.push_store import DEVICES as DEVICES_KEY
from infra.redis.stores.push_store import RedisPushStore
from infra.redis.stores.user_profile_store import FOUND, STATED, RedisUserProfileStore
from schemas import limit
from schemas.types import DeadLetter, Interaction, Item
from tests.build import a_profile, a_push_request, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import INTERACTIONS, ITEMS, PROFILES, PUSH_REQUESTS

CHINESE = "".join(chr(0x4E00 + n) for n in range(limit.LINE_CHARS))
"""A line of different letters: no compression makes it fit an index."""


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        yield pipeline


@asynccontextmanager
async def a_connection(pipeline: Pipeline) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(pipeline.addresses.database_url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def refusing(pipeline: Pipeline, table: str, condition: str, error: str) -> AsyncIterator[None]:
    """Have PostgreSQL refuse some rows of a table."""
    async with a_connection(pipeline) as postgres:
        await postgres.execute(
            "CREATE OR REPLACE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF {condition} THEN RAISE EXCEPTION 'refused' USING ERRCODE = '{error}'; END IF; RETURN NEW; END $$"
        )
        await postgres.execute(
            f"CREATE TRIGGER refuses BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuses()"
        )
        try:
            yield
        finally:
            await postgres.execute(f"DROP TRIGGER refuses ON {table}")


async def rows(pipeline: Pipeline, query: str, *values: Any) -> list[Any]:
    async with a_connection(pipeline) as postgres:
        return [row[0] for row in await postgres.fetch(query, *values)]


async def until_rows(pipeline: Pipeline, query: str, count: int) -> list[Any]:
    async def there() -> list[Any]:
        result = await rows(pipeline, query)
        return result if len(result) >= count else []

    result: list[Any] = await until(there, what=f"{count} rows of {query}")
    return result


async def letters(pipeline: Pipeline, count: int) -> list[DeadLetter]:
    async def there() -> list[DeadLetter]:
        result = await pipeline.dead_letters()
        return result if len(result) >= count else []

    result: list[DeadLetter] = await until(there, what=f"{count} letters")
    return result


def clicks(count: int, *, bad: tuple[int, ...] = (), user_id: str = "u1") -> list[Interaction]:
    return [
        an_interaction(
            event_id=uuid.uuid4().hex,
            user_id=user_id,
            item_id="refused" if number in bad else f"i{number}",
            occurred_at=clock.now_ms(),
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("error", ["22P05", "23514", "54000", "XX000"])
async def test_a_row_that_postgresql_refuses_becomes_a_dead_letter(pipeline: Pipeline, error: str) -> None:
    worker = await pipeline.start("archive")
    events = clicks(60, bad=(0, 17, 59))
    async with refusing(pipeline, "interactions", "NEW.item_id = 'refused'", error):
        await pipeline.publish(INTERACTIONS, events)
        await until_rows(pipeline, "SELECT item_id FROM interactions", 57)
        new_letters = await letters(pipeline, 3)
    codec = pipeline.registry.codec(Interaction)
    assert {letter.value for letter in new_letters} == {
        codec.encode(event) for event in events if event.item_id == "refused"
    }
    assert {(letter.stage, letter.reason) for letter in new_letters} == {("archive.write", "store_refused")}
    await pipeline.publish(INTERACTIONS, clicks(5, user_id="later"))
    await until_rows(pipeline, "SELECT item_id FROM interactions", 62)
    status, out, _ = await pipeline.millrace("dead-letters", "replay", "--stage", "archive.write")
    assert (status, out) == (0, "3 sent again.\n")
    await until_rows(pipeline, "SELECT item_id FROM interactions WHERE item_id = 'refused'", 3)
    assert worker.returncode is None


@pytest.mark.parametrize("error", ["53100", "53200", "58030", "25006", "40P01", "55P03"])
async def test_a_server_that_is_full_or_busy_is_waited_for(pipeline: Pipeline, error: str) -> None:
    worker = await pipeline.start("archive")
    await pipeline.publish(INTERACTIONS, clicks(3, user_id="before"))
    await until_rows(pipeline, "SELECT item_id FROM interactions", 3)
    log = pipeline.home / "process-0.log"
    async with refusing(pipeline, "interactions", "true", error):
        await pipeline.publish(INTERACTIONS, clicks(5))
        await until(lambda: "the archive waits for PostgreSQL" in log.read_text(), what="the archive waits")
        assert len(await rows(pipeline, "SELECT item_id FROM interactions")) == 3
    await until_rows(pipeline, "SELECT item_id FROM interactions", 8)
    assert await pipeline.dead_letters() == []
    assert worker.returncode is None


async def test_long_titles_cities_and_kinds_of_other_scripts_stop_neither_archive_nor_search(
    pipeline: Pipeline,
) -> None:
    worker = await pipeline.start("trainer,links,archive,log")
    names = [f"{n}{CHINESE}"[: limit.ID_CHARS] for n in range(limit.LIST_ITEMS)]
    long: list[Item] = [
        an_item("title", title=CHINESE),
        an_item("city", city=CHINESE),
        an_item("kind", kind=CHINESE),
        an_item("topics", topics=names),
        an_item("all", title=CHINESE, city=CHINESE, kind=CHINESE, brand=CHINESE, category=CHINESE[: limit.ID_CHARS]),
    ]
    for number, item in enumerate(long):
        await pipeline.publish(ITEMS, [item, an_item(f"plain-{number}", title=f"Blue Train {number}")])
    await pipeline.publish(INTERACTIONS, clicks(3))
    await until_rows(pipeline, "SELECT item_id FROM catalogue", 10)
    await until_rows(pipeline, "SELECT item_id FROM catalogue WHERE document @@ 'train'::tsquery", 5)
    await until_rows(pipeline, "SELECT word FROM words WHERE word = 'train'", 1)
    await until_rows(pipeline, "SELECT item_id FROM interactions", 3)
    assert await pipeline.dead_letters() == []
    assert worker.returncode is None


async def test_an_item_that_cannot_be_indexed_becomes_a_dead_letter_and_others_are_found(pipeline: Pipeline) -> None:
    worker = await pipeline.start("archive")
    bad_item = an_item("cursed", title="Cursed", city="Lisbon")
    async with refusing(pipeline, "catalogue", "NEW.item_id = 'cursed' AND NEW.document <> ''", "54000"):
        await pipeline.publish(ITEMS, [bad_item, *(an_item(f"i{n}", title="Blue Train") for n in range(5))])
        await until_rows(pipeline, "SELECT item_id FROM catalogue", 6)
        [letter] = await letters(pipeline, 1)
    assert (letter.key, letter.stage, letter.reason) == (b"cursed", "archive.index", "store_refused")
    assert pipeline.registry.codec(Item).decode(letter.value) == bad_item
    [city] = await rows(pipeline, "SELECT city_key FROM catalogue WHERE item_id = 'cursed'")
    assert city == "lisbon pt 14", "what is at a place stays there"
    await pipeline.publish(ITEMS, [an_item("later", title="Blue Train")])
    await until_rows(pipeline, "SELECT item_id FROM catalogue WHERE document @@ 'train'::tsquery", 6)
    assert len(await pipeline.dead_letters()) == 1
    assert worker.returncode is None


async def test_keys_that_redis_refuses_to_write_stop_no_role(pipeline: Pipeline) -> None:
    feed = await pipeline.start("feed")
    others = await pipeline.start("trainer,links,archive,log,push")
    await pipeline.publish(ITEMS, [an_item(f"i{n}") for n in range(5)])
    await pipeline.settle()
    redis = pipeline.redis
    for key in (FEED, LOGGED, FOUND, STATED, DEVICES_KEY, "notifications:"):
        await redis.delete(f"{key}bad")
    await redis.lpush(f"{FEED}bad", "not a feed")
    await redis.set(f"{LOGGED}bad", "not a log")
    await redis.set(f"{ITEM}i0", "not an item")
    users = ("bad", "good")
    await pipeline.publish(PROFILES, [a_profile(event_id=uuid.uuid4().hex, user_id=user) for user in users])
    await pipeline.publish(PUSH_REQUESTS, [a_push_request(event_id=uuid.uuid4().hex, user_id=user) for user in users])
    for user in users:
        await pipeline.publish(INTERACTIONS, clicks(3, user_id=user))
    await pipeline.settle()
    stages = await until(refused_stages(pipeline, {"rank.write", "log.write"}), what="letters of both roles")
    assert stages <= {"rank.write", "log.write"}
    [stored_feed] = await RedisFeedStore(redis).read(["good"])
    assert stored_feed is not None
    assert stored_feed.features_version == (await pipeline.features())["good"].version

    async def read() -> bool:
        events = await RedisInteractionLog(redis).read("good")
        portrait = await RedisUserProfileStore(redis).read("good")
        devices = await RedisPushStore(redis).read_devices("good")
        return (
            len(events) == 3
            and portrait.inferred_profile is not None
            and portrait.stated_profile is not None
            and devices is not None
        )

    await until(read, what="everything of the other user")
    assert await RedisItemStore(redis).read(["i1"]) != [None]
    assert (feed.returncode, others.returncode) == (None, None)


def refused_stages(pipeline: Pipeline, names: set[str]) -> Callable[[], Any]:
    async def stages() -> set[str]:
        new_letters = {letter.stage for letter in await pipeline.dead_letters()}
        return new_letters if names <= new_letters else set()

    return stages


async def test_ids_of_events_are_unique_per_user(pipeline: Pipeline) -> None:
    feed, others = await pipeline.start("feed"), await pipeline.start("trainer,links,archive,log")
    users = [f"u{n}" for n in range(6)]
    events = [an_interaction(event_id="1", user_id=user, item_id="i1", occurred_at=clock.now_ms()) for user in users]
    for _ in range(2):
        await pipeline.publish(INTERACTIONS, events)
    await pipeline.settle()
    assert {user: entries.event_count for user, entries in (await pipeline.features()).items()} == dict.fromkeys(
        users, 1
    )
    assert (await pipeline.stats())["i1"].counts == {"click": len(users)}
    assert sorted(await until_rows(pipeline, "SELECT user_id FROM interactions", len(users))) == users

    async def logged() -> bool:
        entries = [await RedisInteractionLog(pipeline.redis).read(user) for user in users]
        return [len(mine) for mine in entries] == [1] * len(users)

    await until(logged, what="one event of each user in the log")
    assert (feed.returncode, others.returncode) == (None, None)


async def test_the_archive_of_an_older_version_is_taken_over(pipeline: Pipeline) -> None:
    async with a_connection(pipeline) as postgres:
        await postgres.execute("ALTER TABLE interactions DROP CONSTRAINT interactions_pkey, ADD PRIMARY KEY (event_id)")
        await postgres.execute("DROP INDEX items_of_kind")
        await postgres.execute("CREATE INDEX items_of_kind ON items (kind, category)")
        await postgres.execute("DELETE FROM schema_migrations WHERE name = '0004_limits'")
        await postgres.execute(
            "INSERT INTO interactions (event_id, user_id, action, context, occurred_at, appended_at, topic, partition,"
            " \"offset\") SELECT n::text, 'u' || n, 'click', '{}', now(), now(), 't', 0, n"
            " FROM generate_series(1, 1000) AS n"
        )
    status, _, err = await pipeline.millrace("provision")
    assert status == 0, err
    worker = await pipeline.start("archive")
    await pipeline.publish(INTERACTIONS, [an_interaction(event_id="1", user_id="other", occurred_at=clock.now_ms())])
    await until_rows(pipeline, "SELECT user_id FROM interactions WHERE event_id = '1'", 2)
    assert len(await rows(pipeline, "SELECT user_id FROM interactions")) == 1_001
    assert worker.returncode is None
