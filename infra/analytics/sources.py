"""The sources of relations: topics in Kafka and the archive in PostgreSQL, opened when they are first needed."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any

from infra.analytics.archive_relation import archive_names, archive_relation
from infra.analytics.relation import ALWAYS, Relation, TimeSpan
from infra.analytics.topic_relation import topic_relation
from infra.erasure.erasure_index import ErasureIndex, erasure_key
from infra.erasure.erasure_log import ErasureFollower
from infra.error import OperatorError
from infra.kafka.readers.record_window import OnReadProgress, WindowReader, window_reader
from infra.kafka.registry import Registry, open_registry
from infra.postgres.pool import CONNECTION_ERRORS, connect
from infra.settings import Settings
from topics import TOPICS, Topic
from topics.topic import by_name

ARCHIVE = "archive"
"""The schema of the archive's relations."""


class Sources:
    """Opens relations by name. An asynchronous context manager that closes what it opened.

    Args:
        settings: The addresses of the servers.
        on_progress: Called with the offsets of topics passed, and those to pass.
    """

    def __init__(self, settings: Settings, *, on_progress: OnReadProgress = lambda _count, _total: None) -> None:
        self._settings, self._on_progress = settings, on_progress
        self._stack = AsyncExitStack()
        self._kafka: tuple[Registry, WindowReader] | None = None
        self.skipped_counts: Counter[str] = Counter()
        """Records of topics that were left out, by reason."""

    async def __aenter__(self) -> Sources:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def kafka(self) -> tuple[Registry, WindowReader]:
        """Return the schema registry and a reader of topics.

        Raises:
            OperatorError: one of the servers does not answer.
        """
        if self._kafka is None:
            registry = await self._stack.enter_async_context(open_registry(self._settings.schema_registry_url))
            servers = self._settings.kafka_bootstrap_servers
            erasures = ErasureIndex(erasure_key(self._settings))
            reader = await self._stack.enter_async_context(
                window_reader(servers, on_progress=self._on_progress, erasures=erasures)
            )
            await ErasureFollower(servers, registry, erasures).catch_up()
            self._kafka = registry, reader
        return self._kafka

    async def topic(self, topic: Topic, *, span: TimeSpan = ALWAYS, user_id: str | None = None) -> Relation:
        """Return a topic; see `topic_relation`."""
        registry, reader = await self.kafka()
        return topic_relation(reader, registry, topic, span=span, user_id=user_id, skipped_counts=self.skipped_counts)

    async def archive(self, name: str, *, span: TimeSpan = ALWAYS, user_id: str | None = None) -> Relation:
        """Return a table or view of the archive; see `archive_relation`.

        Raises:
            OperatorError: it has none of that name, or PostgreSQL does not answer.
        """
        try:
            connection = await connect(self._settings.database_url)
        except CONNECTION_ERRORS as error:
            raise OperatorError(
                f"PostgreSQL does not answer: {error}",
                "Start it (`millrace up` runs one), or set DATABASE_URL to one that runs.",
            ) from error
        self._stack.push_async_callback(connection.close)
        await self._stack.enter_async_context(connection.transaction(isolation="repeatable_read", readonly=True))
        names = await archive_names(connection)
        if name not in names:
            raise _unknown(name, names)
        return await archive_relation(connection, name, span=span, user_id=user_id)


def topic_named(name: str) -> Topic | None:
    """Return the topic of a full or short name; None if there is none."""
    try:
        return by_name(name)
    except KeyError:
        return None


def _unknown(name: str, archive: Any) -> OperatorError:
    topics = ", ".join(topic.short_name for topic in TOPICS)
    return OperatorError(
        f"There is no topic and no table of the archive named {name}.",
        f"The topics are {topics}. The archive has {', '.join(archive)}.",
    )
