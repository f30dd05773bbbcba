"""Archive role: events, outcomes, feeds, comparisons with shadows, items and their embeddings → PostgreSQL.

It judges experiments by the outcomes, and pauses arms that breach guardrails.

A batch consumer without a table. It commits offsets after the rows, and repeated rows change nothing. A row that
PostgreSQL refuses becomes a dead letter, and the rest of its batch is written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import asyncpg
from aiokafka import ConsumerRecord

from domain.stock import is_sold_out
from domain.timestamp import utc_time
from infra.erasure.erasure_index import ErasureIndex
from infra.kafka.registry import Registry
from infra.postgres.month_partitions import MonthPartitions
from infra.postgres.pool import CONNECTION_ERRORS, open_pool, write_errors
from infra.redis.projection import PostgresProjection
from infra.settings import Settings
from models.text.encoders import ENCODERS
from schemas.types import Interaction, Item
from streams.roles.archive.archive_eraser import ArchiveEraser
from streams.roles.archive.catalog_indexer import CatalogIndexer, item_record
from streams.roles.archive.embedding_archive import EmbeddingArchive
from streams.roles.archive.experiment_judge import new_experiment_judges
from streams.roles.archive.history_rows import (
    EARLY_OUTCOME_COLUMNS,
    FEED_COLUMNS,
    IMPRESSION_COLUMNS,
    OUTCOME_COLUMNS,
    SHADOW_COLUMNS,
    early_outcome_row,
    feed_rows,
    impression_rows,
    outcome_row,
    shadow_row,
)
from streams.roles.archive.shadow_reporter import new_shadow_reporter
from streams.runtime.dead_letter_queue import DeadLetterQueue
from streams.runtime.decode import Decoder
from streams.runtime.erasure_sink import with_erasures
from streams.runtime.retry import retry_until_available
from streams.runtime.role import open_role
from streams.runtime.sink import Rewind, run_sink
from topics import Topic
from topics.topic import (
    EARLY_OUTCOMES,
    ERASURE_REQUESTS,
    FEEDS,
    IMPRESSIONS,
    INTERACTIONS,
    ITEM_EMBEDDINGS,
    ITEMS,
    OUTCOMES,
    SHADOW_COMPARISONS,
)

ArchiveEntry = tuple[ConsumerRecord, Any]
"""A record and its value; None for the deletion of an item."""
HISTORY_TABLES = {
    FEEDS.name: "feed_history",
    IMPRESSIONS.name: "impressions",
    OUTCOMES.name: "outcomes",
    EARLY_OUTCOMES.name: "early_outcomes",
    SHADOW_COMPARISONS.name: "shadow_comparisons",
}
"""The tables in partitions by month, by topic."""
_RETRY_S = 1.0
_DROP_S = 3_600.0
_LOG = logging.getLogger(__name__)
_WAITS = "the archive waits for PostgreSQL"

_POSITION = ("appended_at", "topic", "partition", "offset")
_INTERACTION = (
    *("event_id", "user_id", "item_id", "action", "value", "query", "session_id", "request_id", "context"),
    "occurred_at",
)
_ITEM = (
    *("item_id", "category", "title", "description", "topics", "source", "url", "image_url", "city", "cell", "price"),
    *("created_at", "attributes", "kind", "brand", "original_price", "rating", "reviews", "stock", "private"),
    "sold_out",
)

_FORGET = 'DELETE FROM items WHERE item_id = $1 AND (appended_at, "offset") < ($2, $3)'
"""Deletes an item whose deletion is newer than its stored version."""


def insert_interactions() -> str:
    """Return the statement that keeps the first event of a user with a given id."""
    return f"{_insert('interactions', (*_INTERACTION, *_POSITION))} ON CONFLICT (user_id, event_id) DO NOTHING"


def upsert_items() -> str:
    """Return the statement that keeps the newest version of an item."""
    return _upsert("items", (*_ITEM, *_POSITION), ("item_id",))


def upsert_outcomes(table: str, columns: Sequence[str]) -> str:
    """Return the statement that keeps the newest version of an outcome.

    Args:
        table: The table.
        columns: Its columns without the position in Kafka.
    """
    return _upsert(table, (*columns, *_POSITION), ("user_id", "outcome_id", "shown_at"))


def interaction_row(record: ConsumerRecord, event: Interaction) -> tuple[Any, ...]:
    """Return the row of an interaction."""
    values = {name: getattr(event, name) for name in _INTERACTION} | {"occurred_at": utc_time(event.occurred_at)}
    return (*values.values(), *_position(record))


def item_row(record: ConsumerRecord, item: Item) -> tuple[Any, ...]:
    """Return the row of an item."""
    computed_values = {"created_at": utc_time(item.created_at), "sold_out": is_sold_out(item)}
    values = {name: computed_values[name] if name in computed_values else getattr(item, name) for name in _ITEM}
    return (*values.values(), *_position(record))


class ArchiveWriter:
    """Writes batches to PostgreSQL, and counts the rows."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        registry: Registry,
        dead_letters: DeadLetterQueue,
        *,
        partitions: Mapping[str, MonthPartitions],
        erasures: ErasureIndex | None = None,
        on_items: Callable[[], None] = lambda: None,
    ) -> None:
        """Create the writer.

        Args:
            pool: Connections to PostgreSQL.
            registry: The schema registry.
            dead_letters: The queue for rows that PostgreSQL refuses.
            partitions: The partitions of the tables by month, by topic.
            erasures: The erased users, whose older records are skipped.
            on_items: Called after each batch of items.
        """
        self._partitions = partitions
        self._pool, self._dead_letters = pool, dead_letters
        self._on_items = on_items
        # Unusable records are skipped here: the agents that own these topics send them to the dead-letter topic.
        self._decoders = {
            name: Decoder(topic, registry, None, stage="archive", erasures=erasures)
            for name, (topic, *_) in WRITES.items()
        }
        self.written_count = 0
        self.unusable = 0

    async def write(self, topic: str, records: Sequence[ConsumerRecord]) -> None:
        """Write a batch; wait for as long as PostgreSQL is unavailable.

        Raises:
            PublishError: a dead letter was not written.
        """
        changes: list[ArchiveEntry] = await self._decoders[topic].decode(records)
        deletions = [(record, None) for record in records if record.value is None and topic == ITEMS.name]
        refused_count = await self._dead_letters.write(
            changes + deletions, lambda some: self._put(topic, some), stage="archive.write", log_message=_WAITS
        )
        if topic == ITEMS.name:
            self._on_items()
        self.written_count += len(changes) + len(deletions) - refused_count
        self.unusable += len(records) - len(changes) - len(deletions)

    async def _put(self, topic: str, changes: Sequence[ArchiveEntry]) -> None:
        _, statement, rows_of = WRITES[topic]
        rows = [row for record, value in changes if value is not None for row in rows_of(record, value)]
        deletions = [(_key(record), *_position(record)[::3]) for record, value in changes if value is None]
        with write_errors("archiving"):
            async with self._pool.acquire() as connection:
                if topic in HISTORY_TABLES:
                    rows = await self._kept_rows(connection, topic, rows)
                await connection.executemany(statement, rows)
                await connection.executemany(_FORGET, deletions)

    async def _kept_rows(self, connection: Any, topic: str, rows: Sequence[Any]) -> list[Any]:
        """Return the rows that retention keeps, with a partition for each; a row begins with its time."""
        partitions = self._partitions[topic]
        kept_rows = [row for row in rows if partitions.is_kept(row[0])]
        await partitions.prepare(connection, [row[0] for row in kept_rows])
        return kept_rows


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the role until `stop` is set."""
    async with open_role("archive", settings) as role:
        pool = await retry_until_available(
            lambda: open_pool(settings.database_url, connections=4),
            _WAITS,
            outages=CONNECTION_ERRORS,
            pause_s=_RETRY_S,
        )

        async def refuse(row: Any, error: Exception) -> None:
            role.dead_letters.put(item_record(row, role.registry.codec(Item)), error, stage="archive.index")
            await role.dead_letters.flush()

        indexer = CatalogIndexer(pool, ENCODERS[settings.text_encoder](), on_reject=refuse)
        partitions = history_partitions(settings)
        archive = ArchiveWriter(
            pool,
            role.registry,
            role.dead_letters,
            partitions=partitions,
            erasures=role.erasures,
            on_items=indexer.notify,
        )
        embeddings = EmbeddingArchive(role, pool)
        judge, guard, pauser = new_experiment_judges(role, pool)
        topics = [topic for topic, *_ in WRITES.values()]

        def describe() -> dict[str, Any]:
            return {
                **{"written": archive.written_count, "unusable": archive.unusable, "indexed": indexer.indexed_count},
                **{"embeddings": embeddings.written_count, "paused_arms": pauser.paused_count},
            }

        try:
            await role.run(
                stop,
                run_sink(
                    role,
                    [*topics, ERASURE_REQUESTS],
                    with_erasures(role, archive.write, ArchiveEraser(role, pool).erase),
                    rewind=Rewind(PostgresProjection(pool)),
                ),
                run_sink(
                    role,
                    [ITEM_EMBEDDINGS],
                    embeddings.write,
                    group="archive-embeddings",
                    rewind=Rewind(PostgresProjection(pool)),
                ),
                indexer.run(),
                judge.run(),
                guard.run(),
                new_shadow_reporter(role, pool).run(),
                _drop_old_months(pool, partitions.values()),
                describe=describe,
            )
        finally:
            pool.terminate()


def history_partitions(settings: Settings) -> dict[str, MonthPartitions]:
    """Return the partitions of the tables by month, by topic."""
    days = dict.fromkeys(HISTORY_TABLES, settings.impression_history_days) | {FEEDS.name: settings.feed_history_days}
    return {topic: MonthPartitions(table, days=days[topic]) for topic, table in HISTORY_TABLES.items()}


async def _drop_old_months(pool: asyncpg.Pool, tables: Iterable[MonthPartitions]) -> None:
    """Drop partitions past retention, at the start and every hour, until cancelled."""
    while True:
        try:
            async with pool.acquire() as connection:
                for table in tables:
                    for name in await table.drop_old(connection):
                        _LOG.info("%s is past retention and was dropped", name)
        except (*CONNECTION_ERRORS, asyncpg.PostgresError) as error:
            _LOG.warning("partitions past retention cannot be dropped now: %s", error)
        await asyncio.sleep(_DROP_S)


def _insert(table: str, columns: Iterable[str]) -> str:
    columns = list(columns)
    names = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    return f"INSERT INTO {table} ({names}) VALUES ({values})"  # noqa: S608 - all names are ours


def _upsert(table: str, columns: Sequence[str], key: Sequence[str]) -> str:
    """Return the statement that keeps the row of the newest record of a key."""
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in key)
    return (
        f"{_insert(table, columns)} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
        f' WHERE ({table}.appended_at, {table}."offset") < (excluded.appended_at, excluded."offset")'
    )


def _key(record: ConsumerRecord) -> str:
    return (record.key or b"").decode(errors="replace")


def _position(record: ConsumerRecord) -> tuple[Any, ...]:
    return utc_time(record.timestamp), record.topic, record.partition, record.offset


WRITES: dict[str, tuple[Topic, str, Any]] = {
    INTERACTIONS.name: (INTERACTIONS, insert_interactions(), lambda record, event: [interaction_row(record, event)]),
    ITEMS.name: (ITEMS, upsert_items(), lambda record, item: [item_row(record, item)]),
    IMPRESSIONS.name: (
        IMPRESSIONS,
        f"{_insert('impressions', (*IMPRESSION_COLUMNS, *_POSITION))} ON CONFLICT DO NOTHING",
        lambda record, event: [(*row, *_position(record)) for row in impression_rows(event)],
    ),
    OUTCOMES.name: (
        OUTCOMES,
        upsert_outcomes("outcomes", OUTCOME_COLUMNS),
        lambda record, outcome: [(*outcome_row(outcome), *_position(record))],
    ),
    EARLY_OUTCOMES.name: (
        EARLY_OUTCOMES,
        upsert_outcomes("early_outcomes", EARLY_OUTCOME_COLUMNS),
        lambda record, outcome: [(*early_outcome_row(outcome), *_position(record))],
    ),
    SHADOW_COMPARISONS.name: (
        SHADOW_COMPARISONS,
        f"{_insert('shadow_comparisons', (*SHADOW_COLUMNS, *_POSITION))} ON CONFLICT DO NOTHING",
        lambda record, comparison: [(*shadow_row(comparison), *_position(record))],
    ),
    FEEDS.name: (
        FEEDS,
        f"{_insert('feed_history', (*FEED_COLUMNS, *_POSITION))} ON CONFLICT DO NOTHING",
        lambda record, feed: [(*row, *_position(record)) for row in feed_rows(feed)],
    ),
}
