"""Check of an erasure: whether anything that a deployment stores still holds the id, where, and until when."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from infra import clock
from infra.erasure.erasure_index import ErasureKey
from infra.erasure.erasure_store import RedisErasureStore
from infra.erasure.erasure_tracker import KafkaErasureTracker
from infra.erasure.occurrences.file_search import search_files
from infra.erasure.occurrences.id_pattern import IdPattern
from infra.erasure.occurrences.redis_search import search_redis
from infra.erasure.occurrences.table_search import search_tables
from infra.erasure.occurrences.topic_search import search_topics
from infra.redis.connection import connect
from infra.settings import Settings

Store = Literal["topics", "redis", "postgresql", "files"]
OnCheckProgress = Callable[[Store, int, int], None]
_LOG_FILE = re.compile(r"^kafka/data/(.+)-\d+/")
"""Files of a partition of the local Kafka; the group is the topic."""


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """A place that holds the id."""

    store: Store
    name: str
    """Topic, key, table or file; the id is masked."""
    count: int
    """Number of records, rows, or occurrences in a key or a file."""
    gone_by: int | None
    """Time by which Kafka deletes it by itself, in ms since the epoch; null for none."""


class ErasureCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a check: the places that hold an id."""

    user_hash: str
    checked_at: int
    """In ms since the epoch."""
    erased_at: int | None
    """Time of the receipt, in ms since the epoch; null without one in the last 30 days."""
    occurrences: list[Occurrence]
    unread: list[str]
    """Tables and files that could not be read."""
    folder: str
    """Folder whose files were searched: MILLRACE_HOME."""
    has_server_files: bool
    """Whether the files of Kafka, Redis and PostgreSQL are among them."""

    @property
    def is_clean(self) -> bool:
        """Return whether everything was read, and nothing holds the id."""
        return not self.occurrences and not self.unread


async def check_erasure(
    settings: Settings, key: ErasureKey, user_id: str, *, on_progress: OnCheckProgress = lambda *_: None
) -> ErasureCheck:
    """Search everything for an id: all topics, all keys, all tables, and the files of MILLRACE_HOME.

    Args:
        settings: The addresses of the servers, and the home folder.
        key: The key of the hashes and the receipts.
        user_id: The id.
        on_progress: Called with a store, what was read of it, and all of it.

    Raises:
        OperatorError, StoreError: a server does not answer.
    """
    pattern, home = IdPattern(user_id), settings.millrace_home.expanduser().resolve()
    redis = connect(settings.redis_url)
    try:
        tracker = KafkaErasureTracker(settings.kafka_bootstrap_servers, RedisErasureStore(redis), key)
        progress = await tracker.progress(user_id)
        receipt = None if progress is None else progress.receipt
        deadlines = {} if receipt is None else {topic.name: topic.gone_by for topic in receipt.topics}
        keys = await search_redis(redis, pattern, on_progress=lambda *at: on_progress("redis", *at))
    finally:
        await redis.aclose()
    tables = await search_tables(settings.database_url, pattern, on_progress=lambda *at: on_progress("postgresql", *at))
    topics = await search_topics(
        settings.kafka_bootstrap_servers, pattern, on_progress=lambda *at: on_progress("topics", *at)
    )
    files = await asyncio.to_thread(search_files, home, pattern, on_progress=lambda *at: on_progress("files", *at))
    return ErasureCheck(
        user_hash=key.hash_of(user_id.encode()),
        checked_at=clock.now_ms(),
        erased_at=None if receipt is None else receipt.completed_at,
        occurrences=[
            *_occurrences("topics", topics, deadlines),
            *_occurrences("redis", keys, {}),
            *_occurrences("postgresql", tables.counts, {}),
            *_occurrences("files", files.counts, _file_deadlines(files.counts, deadlines)),
        ],
        unread=[*tables.unread, *files.unread],
        folder=str(home),
        has_server_files=all((home / name).is_dir() for name in ("kafka", "redis", "postgres")),
    )


def _occurrences(store: Store, counts: Mapping[str, int], deadlines: Mapping[str, int | None]) -> list[Occurrence]:
    return [
        Occurrence(store=store, name=name, count=count, gone_by=deadlines.get(name))
        for name, count in sorted(counts.items())
    ]


def _file_deadlines(files: Mapping[str, int], deadlines: Mapping[str, int | None]) -> dict[str, int | None]:
    """Return the deadlines of the topics whose segments are files."""
    matches = {name: match for name in files if (match := _LOG_FILE.match(name))}
    return {name: deadlines.get(match[1]) for name, match in matches.items()}
