"""The archive of item embeddings: rows follow embeddings that have moved, and similar items follow people."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pytest

from infra.address import Addresses
from infra.kafka.partition import partition_of
from infra.kafka.publisher import Publisher
from infra.postgres.catalog_filter import PostgresCatalogListing
from infra.postgres.pool import LazyPool
from infra.settings import Settings
from schemas.types import ItemEmbedding
from streams.core.item.embedding_record import STORED
from streams.roles.archive import archive_role
from tests.build import T0_MS, an_interaction, an_item
from tests.pipeline.learning.test_links import SETTINGS
from tests.pipeline.pipeline import a_pipeline, until
from topics.topic import INTERACTIONS, ITEM_EMBEDDINGS, ITEMS

SIZE = 128


def an_embedding(item_id: str, length: float, *, event_count: int = 10, size: int = SIZE) -> ItemEmbedding:
    vector = np.array([length] + [0.0] * (size - 1)).astype(STORED).tobytes()
    return ItemEmbedding(
        item_id=item_id, space=f"softmax-{size}", vector=vector, bias=0.0, watermark=T0_MS, event_count=event_count
    )


def in_partition_of(item_id: str) -> str:
    """Return another item of the same partition: it is read after what was published before."""
    count = ITEM_EMBEDDINGS.partitions
    others = (uuid.uuid4().hex for _ in range(10_000))
    return next(
        other for other in others if partition_of(other.encode(), count) == partition_of(item_id.encode(), count)
    )


@pytest.fixture
async def archiving(stack: Addresses) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(archive_role.run(stack.apply_to(Settings()), stop))
    yield
    stop.set()
    await asyncio.wait_for(running, 60)


async def row(pool: asyncpg.Pool, item_id: str) -> tuple[float, int] | None:
    first_row = await pool.fetchrow(
        "SELECT (embedding::real[])[1] AS first, event_count FROM item_embeddings WHERE item_id = $1", item_id
    )
    return None if first_row is None else tuple(first_row)


async def archived(publisher: Publisher, pool: asyncpg.Pool, *records: ItemEmbedding) -> None:
    """Publish records of one item, and wait until the archive has read them."""
    last = an_embedding(records[-1].item_id, 100.0 + random.random(), event_count=1_000_000)
    await publisher.publish(ITEM_EMBEDDINGS, [*records, last])

    async def is_read() -> bool:
        return (await row(pool, last.item_id) or (0.0, 0))[1] == last.event_count

    await until(is_read, what="the last record")


@pytest.mark.usefixtures("archiving")
async def test_a_row_is_written_again_when_its_embedding_has_moved_or_has_more_evidence(
    publisher: Publisher, pool: asyncpg.Pool
) -> None:
    item_id = uuid.uuid4().hex

    async def becomes(expected: tuple[float, int], record: ItemEmbedding) -> None:
        await publisher.publish(ITEM_EMBEDDINGS, [record])

        async def is_stored() -> bool:
            return await row(pool, item_id) == expected

        await until(is_stored, what=f"{expected}")

    await becomes((1.0, 10), an_embedding(item_id, 1.0))
    await publisher.publish(ITEM_EMBEDDINGS, [an_embedding(item_id, 1.125, event_count=11)])
    await publisher.publish(ITEM_EMBEDDINGS, [an_embedding(item_id, 7.0, size=64)])
    await archived(publisher, pool, an_embedding(in_partition_of(item_id), 1.0))
    assert await row(pool, item_id) == (1.0, 10), "it has hardly moved, and another space is ignored"
    await becomes((2.0, 12), an_embedding(item_id, 2.0, event_count=12))
    await becomes((2.125, 16), an_embedding(item_id, 2.125, event_count=16))


@pytest.mark.usefixtures("archiving")
async def test_a_deletion_deletes_and_an_unusable_embedding_harms_no_other(
    publisher: Publisher, pool: asyncpg.Pool
) -> None:
    item_id = uuid.uuid4().hex
    bad, other = in_partition_of(item_id), in_partition_of(item_id)
    await archived(publisher, pool, an_embedding(item_id, 1.0))
    publisher.produce_bytes(ITEM_EMBEDDINGS, item_id.encode(), None)
    await publisher.flush()  # so that it comes before the next ones
    await publisher.publish(ITEM_EMBEDDINGS, [an_embedding(bad, float("nan"))])
    await archived(publisher, pool, an_embedding(other, 1.0))
    assert await row(pool, item_id) is None
    assert await row(pool, bad) is None


async def test_embeddings_of_another_length_replace_all_others(
    stack: Addresses, publisher: Publisher, pool: asyncpg.Pool
) -> None:
    item_id = uuid.uuid4().hex
    await publisher.publish(ITEM_EMBEDDINGS, [an_embedding(item_id, 1.0), an_embedding(item_id, 5.0, size=64)])
    for size, first in ((64, 5.0), (SIZE, 9.0)):
        stop = asyncio.Event()
        settings = replace(stack.apply_to(Settings()), embedding_dim=size)
        running = asyncio.create_task(archive_role.run(settings, stop))
        if size == SIZE:
            await publisher.publish(ITEM_EMBEDDINGS, [an_embedding(item_id, first)])

        async def is_stored(expected: float = first) -> bool:
            return (await row(pool, item_id) or (0.0, 0))[0] == expected

        await until(is_stored, what=f"embeddings of {size} numbers")
        stop.set()
        await asyncio.wait_for(running, 60)


GROUPS, IN_GROUP, USERS, VISITS = 3, 6, 150, 5


async def test_items_that_the_same_people_use_are_similar_though_their_texts_differ(
    stack: Addresses, tmp_path: Path
) -> None:
    draw = random.Random(5)
    names = [f"i{number}" for number in range(GROUPS * IN_GROUP)]
    items = [an_item(name, title=f"{uuid.uuid4().hex} of its own", topics=[name], category=name) for name in names]
    items += [an_item("klezmer", title="Klezmer evening", topics=["klezmer"], category="music")]
    items += [an_item("new", title="Klezmer night", topics=["klezmer"], category="music")]
    visits = {user: draw.sample(range(IN_GROUP), VISITS) for user in range(USERS)}
    events = [
        an_interaction(
            event_id=f"e{step}-{user}", user_id=f"u{user}", item_id=f"i{user % GROUPS + GROUPS * visits[user][step]}",
            action="like", occurred_at=T0_MS + 60_000 * step + user,
        )
        for step in range(VISITS)
        for user in range(USERS)
    ]  # fmt: skip
    connections = LazyPool(stack.database_url)
    listing = PostgresCatalogListing(connections)

    async def similar_to(item_id: str) -> Any:
        return [name for name, _ in await listing.similar(item_id, prefix="", min_similarity=0.3, limit=IN_GROUP - 1)]

    async def are_similar() -> bool:
        groups = [
            {int(name[1:]) % GROUPS for name in await similar_to(item) if name in names} for item in names[:GROUPS]
        ]
        return groups == [{0}, {1}, {2}]

    async with a_pipeline(stack, tmp_path) as pipeline:
        await pipeline.publish(ITEMS, items)
        await pipeline.start("feed,links,archive")
        await pipeline.start("trainer", **SETTINGS)
        await pipeline.publish(INTERACTIONS, events)
        await pipeline.settle()
        await until(are_similar, what="neighbours of the same people")
        assert await similar_to("new") == ["klezmer"], "an item without events is similar by its text"
        assert not await pipeline.dead_letters()
    await connections.close()
