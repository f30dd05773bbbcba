"""PostgreSQL as it is used: indexes that serve the queries that are sent, and connections that are shared."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.address import Addresses
from infra.postgres import catalog_filter, shop_archive
from infra.postgres.pool import LazyPool
from schemas.limit import PRODUCT

_NEAREST = "SELECT item_id FROM catalogue ORDER BY embedding <=> $1::text::vector LIMIT 10"
_OF_ITEM = "SELECT user_id FROM interactions WHERE item_id = $1 ORDER BY occurred_at DESC LIMIT 10"
_SINCE = "SELECT user_id FROM interactions WHERE occurred_at > $1"
_TEXT = "SELECT item_id FROM catalogue WHERE document @@ to_tsquery('simple', $1)"
_MANY = """
    INSERT INTO interactions
        (event_id, user_id, item_id, action, context, occurred_at, appended_at, topic, partition, "offset")
    SELECT
        'many-' || n, 'u' || n % 100, 'i' || n % 100, 'click', '{}',
        now() - n * interval '1 minute', now(), 'many', 0, n
    FROM generate_series(1, 5000) AS n
"""
"""Interactions of a hundred users with a hundred items, gone with the transaction."""
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
async def connections(stack: Addresses) -> AsyncIterator[LazyPool]:
    connections = LazyPool(stack.database_url, connections=2)
    yield connections
    await connections.close()


def indexes_of(plan: Any) -> set[str]:
    """Return the indexes that a plan reads."""
    own = {plan["Index Name"]} if "Index Name" in plan else set()
    return own.union(*(indexes_of(part) for part in plan.get("Plans", ())))


@pytest.mark.parametrize(
    ("query", "values", "index"),
    [
        pytest.param(shop_archive._DONE, ["u1", LONG_AGO], "interactions_of_user", id="by user and time"),
        pytest.param(_OF_ITEM, ["i1"], "interactions_with_item", id="by item and time"),
        pytest.param(_SINCE, [LONG_AGO], "interactions_in_time", id="by time"),
        pytest.param(catalog_filter._SIMILAR, ["i1", "", 10, 0.3], "catalogue_by_likeness", id="similar texts"),
        pytest.param(catalog_filter._SIMILAR, ["i1", "", 10, 0.3], "item_embeddings_by_likeness", id="similar items"),
        pytest.param(shop_archive._SIMILAR, ["i1", 10, PRODUCT], "item_embeddings_by_likeness", id="similar products"),
        pytest.param(_NEAREST, [str([0.1] * 384)], "catalogue_by_likeness", id="nearest vectors"),
        pytest.param(_TEXT, ["jazz"], "catalogue_by_text", id="by text"),
    ],
)
async def test_a_query_can_be_served_by_its_index(
    connections: LazyPool, query: str, values: list[Any], index: str
) -> None:
    async with (await connections.pool()).acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(_MANY)  # without rows, indexes cost the same
        await connection.execute("ANALYZE interactions")
        for way in ("seqscan", "sort"):  # the tables of a test are so small that reading them whole is cheaper
            await connection.execute(f"SET LOCAL enable_{way} = off")
        plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query}", *values)
        await transaction.rollback()
    assert index in indexes_of(json.loads(plan)[0]["Plan"])


async def test_many_requests_share_a_few_connections(connections: LazyPool) -> None:
    pool = await connections.pool()

    async def process() -> int:
        async with connections.read_connection("sleeping") as connection:
            return int(await connection.fetchval("SELECT pg_backend_pid() FROM pg_sleep(0.01)"))

    processes = await asyncio.gather(*(process() for _ in range(20)))
    assert len(set(processes)) == pool.get_max_size() == 2
    assert await process() in processes, "they are kept open"


async def test_the_server_is_recent_enough(connections: LazyPool) -> None:
    async with connections.read_connection("asking for the version") as connection:
        assert connection.get_server_version().major >= 15
