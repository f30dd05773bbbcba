"""interactions, items → PostgreSQL, for analysts. A batch consumer; it needs no table.

Offsets are committed after the rows are; a row that comes again changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import CommitFailedError, IllegalStateError

from infra import database, heartbeat
from infra.redis_client import connect
from infra.registry import Registry
from infra.settings import Settings
from schemas.types import Interaction, Item
from streams.decode import Decoder
from topics import Topic
from topics.topic import INTERACTIONS, ITEMS

GROUP = "millrace-archive"
_MOST_RECORDS = 5_000
_WAIT_MS = 500
_RETRY_S = 1.0
_LOG = logging.getLogger(__name__)

_PLACE = ("appended_at", "topic", "partition", "offset")
_INTERACTION = (
    *("event_id", "user_id", "item_id", "action", "value", "query", "session_id", "request_id", "context"),
    "occurred_at",
)
_ITEM = (
    *("item_id", "category", "title", "description", "topics", "source", "url", "image_url", "city", "cell", "price"),
    *("created_at", "attributes"),
)


def insert_interactions() -> str:
    """Return the statement that keeps the first of events with one id."""
    return f"{_insert('interactions', (*_INTERACTION, *_PLACE))} ON CONFLICT (event_id) DO NOTHING"


def upsert_items() -> str:
    """Return the statement that keeps the newest version of an item."""
    columns = (*_ITEM, *_PLACE)
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name != "item_id")
    return (
        f"{_insert('items', columns)} ON CONFLICT (item_id) DO UPDATE SET {changes}"
        ' WHERE (items.appended_at, items."offset") < (excluded.appended_at, excluded."offset")'
    )


def interaction_row(record: ConsumerRecord, event: Interaction) -> tuple[Any, ...]:
    """Return the row of an interaction."""
    values = {name: getattr(event, name) for name in _INTERACTION} | {"occurred_at": _time(event.occurred_at)}
    return (*values.values(), *_place(record))


def item_row(record: ConsumerRecord, item: Item) -> tuple[Any, ...]:
    """Return the row of an item."""
    values = {name: getattr(item, name) for name in _ITEM} | {"created_at": _time(item.created_at)}
    return (*values.values(), *_place(record))


class Archive:
    """Writes batches, and counts."""

    def __init__(self, pool: asyncpg.Pool, registry: Registry) -> None:
        self._pool = pool
        # What is unusable is passed over: the agents that own these topics set it aside.
        self._decoders = {name: Decoder(topic, registry, None, stage="archive") for name, (topic, *_) in WRITES.items()}
        self.written = 0
        self.unusable = 0

    async def write(self, topic: str, records: Sequence[ConsumerRecord]) -> None:
        """Write a batch; waits for as long as PostgreSQL is away."""
        _, statement, row = WRITES[topic]
        usable = await self._decoders[topic].decode(records)
        rows = [row(record, value) for record, value in usable]
        while True:
            try:
                async with self._pool.acquire() as connection:
                    await connection.executemany(statement, rows)
                break
            except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
                _LOG.warning("PostgreSQL does not answer, trying again: %s", error)
            except asyncpg.OperatorInterventionError as error:  # it shuts down or starts
                _LOG.warning("PostgreSQL is not ready, trying again: %s", error)
            await asyncio.sleep(_RETRY_S)
        self.written += len(rows)
        self.unusable += len(records) - len(rows)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the archive until `stop` is set."""
    registry = Registry(settings.schema_registry_url)
    await asyncio.to_thread(registry.connect)
    redis = connect(settings.redis_url)
    pool = await _connect(settings.database_url)
    archive = Archive(pool, registry)
    sign = asyncio.ensure_future(
        heartbeat.beat(redis, "archive", lambda: {"written": archive.written, "unusable": archive.unusable})
    )
    consumer = AIOKafkaConsumer(
        *WRITES,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        group_id=GROUP,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    work = asyncio.ensure_future(_work(consumer, archive))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (work, stopping, sign):
            task.cancel()
        # A batch given up half-way is read again: its offsets are not committed.
        results = await asyncio.gather(work, stopping, sign, return_exceptions=True)
        await consumer.stop()
        pool.terminate()
        await redis.aclose()
        registry.close()
    if isinstance(results[0], Exception):
        raise results[0]


async def _work(consumer: AIOKafkaConsumer, archive: Archive) -> None:
    await consumer.start()
    while True:
        fetched = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_MOST_RECORDS)
        for tp, records in fetched.items():
            await archive.write(tp.topic, records)
        if fetched:
            try:
                await consumer.commit({tp: records[-1].offset + 1 for tp, records in fetched.items()})
            except (CommitFailedError, IllegalStateError) as error:
                _LOG.info("the group has rebalanced, what was written is read again: %s", error)


async def _connect(url: str) -> asyncpg.Pool:
    while True:
        try:
            return await database.connect(url, connections=1)
        except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError) as error:
            _LOG.warning("PostgreSQL does not answer, trying again: %s", error)
            await asyncio.sleep(_RETRY_S)


def _insert(table: str, columns: Iterable[str]) -> str:
    columns = list(columns)
    names = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    return f"INSERT INTO {table} ({names}) VALUES ({values})"  # noqa: S608 - all names are ours


def _place(record: ConsumerRecord) -> tuple[Any, ...]:
    return _time(record.timestamp), record.topic, record.partition, record.offset


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


WRITES: dict[str, tuple[Topic, str, Any]] = {
    INTERACTIONS.name: (INTERACTIONS, insert_interactions(), interaction_row),
    ITEMS.name: (ITEMS, upsert_items(), item_row),
}
