"""Clients of Kafka for commands that publish."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.kafka.publisher import Publisher
from infra.kafka.registry import Registry, open_registry
from infra.settings import Settings


@asynccontextmanager
async def open_kafka(settings: Settings) -> AsyncIterator[tuple[Registry, Publisher]]:
    """Open the schema registry and a publisher, and close both at the end.

    Raises:
        OperatorError: the registry does not answer, or a schema is missing.
    """
    async with open_registry(settings.schema_registry_url) as registry:
        publisher = Publisher(settings.kafka_bootstrap_servers, registry)
        try:
            yield registry, publisher
        finally:
            await publisher.close()
