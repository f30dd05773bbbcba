"""Client of the schema registry (Confluent API)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
import msgspec
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from infra.error import OperatorError
from schemas.codec import Codec, UnseenSchemaError, avro_schema
from topics import TOPICS, Topic

COMPATIBILITY = "BACKWARD_TRANSITIVE"
_NOT_FOUND, _SERVER_ERROR = 404, 500
_NOT_NOW = frozenset((401, 403, 408, 429))
"""Statuses that say nothing about the existence of the requested schema."""
_HIGHEST_ID = (1 << 31) - 1
"""Registries use signed 32-bit ids; the frame of a message has room for larger ones."""
_MAX_REFERENCES = 100
"""Maximum number of schemas fetched for the references of one schema."""

R = TypeVar("R", bound=msgspec.Struct)


class Registry:
    """Registers our schemas and looks up those of other writers. Network errors are passed to the caller."""

    def __init__(self, url: str) -> None:
        self._client = SchemaRegistryClient({"url": url})
        self._codecs: dict[type[msgspec.Struct], Codec[Any]] = {}

    def register(self, topic: Topic) -> int:
        """Register a topic's schema under its subject, set the subject to COMPATIBILITY, and return the schema's id.

        Raises:
            SchemaRegistryError: the schema is incompatible with its predecessors (409), or the registry failed.
        """
        schema_id = self._client.register_schema(topic.subject, _schema(topic))
        self._client.set_compatibility(topic.subject, COMPATIBILITY)
        return int(schema_id)

    def connect(self) -> None:
        """Look up the ids of all our schemas, so that `codec` works for every record type.

        Raises:
            OperatorError: the registry does not answer, or a schema is missing.
        """
        try:
            self._look_up()
        except SchemaRegistryError as error:
            raise OperatorError(
                f"The schema registry does not know our schemas: {error}", "Register them with `millrace provision`."
            ) from error
        except httpx.HTTPError as error:
            raise OperatorError(
                f"The schema registry does not answer: {error}",
                "Start it (`millrace up` runs one), or set SCHEMA_REGISTRY_URL to one that runs.",
            ) from error

    def _look_up(self) -> None:
        for topic in TOPICS:
            registered_schema = self._client.lookup_schema(topic.subject, _schema(topic))
            self._codecs[topic.record] = Codec(topic.record, int(registered_schema.schema_id))

    def codec(self, record: type[R]) -> Codec[R]:
        """Return the codec of a record type; there is one object per type, so that learned schemas are shared."""
        return self._codecs[record]

    async def learn(self, codec: Codec[Any], schema_id: int) -> None:
        """Fetch a writer's schema into a codec; an unknown id is stored as missing.

        Raises:
            SchemaRegistryError, httpx.HTTPError: the registry does not answer, which says nothing about the id.
        """
        schema = await asyncio.to_thread(self._schema_of, schema_id)
        if schema is None:
            codec.learn(schema_id, None)
        else:
            references = await asyncio.to_thread(self._referenced, schema)
            codec.learn(schema_id, _content(schema), references=references)

    def _schema_of(self, schema_id: int) -> Schema | None:
        """Return the schema of an id, None if it does not exist, or if the registry fails for this id only."""
        if not 0 < schema_id <= _HIGHEST_ID:
            return None
        try:
            return self._client.get_schema(schema_id)
        except SchemaRegistryError as error:
            if error.http_status_code in _NOT_NOW:
                raise
            if error.http_status_code >= _SERVER_ERROR:
                self._client.get_subjects()
            return None

    def _referenced(self, schema: Schema) -> list[Any]:
        """Return the schemas that a schema references, in dependency order.

        References that the registry does not hold are omitted: parsing will report the unknown type.
        """
        versions: set[tuple[str, int]] = set()
        contents: list[Any] = []

        def visit(references: Sequence[SchemaReference]) -> None:
            for reference in references:
                version = reference.subject, reference.version
                if version in versions or len(versions) >= _MAX_REFERENCES:
                    continue
                versions.add(version)
                try:
                    referenced_schema = self._client.get_version(*version).schema
                except SchemaRegistryError as error:
                    if error.http_status_code != _NOT_FOUND:
                        raise
                    continue
                visit(referenced_schema.references or ())
                contents.append(_content(referenced_schema))

        visit(schema.references or ())
        return contents

    async def decode(self, codec: Codec[R], value: bytes | None) -> R:
        """Return the record of a message; the schema of an unseen writer is fetched first.

        Raises:
            DecodeError: the message cannot be decoded.
            SchemaRegistryError, httpx.HTTPError: the registry does not answer.
        """
        try:
            return codec.decode(value)
        except UnseenSchemaError as schema_error:
            await self.learn(codec, schema_error.schema_id)
            return codec.decode(value)

    def close(self) -> None:
        """Close the connections."""
        self._client.__exit__()


@asynccontextmanager
async def open_registry(url: str) -> AsyncIterator[Registry]:
    """Open a connected registry, and close it at the end.

    Raises:
        OperatorError: the registry does not answer, or a schema is missing.
    """
    registry = Registry(url)
    try:
        await asyncio.to_thread(registry.connect)
        yield registry
    finally:
        registry.close()


def _content(schema: Schema) -> Any:
    """Return a schema as JSON data; anything that is not Avro becomes a schema of an unknown type."""
    if schema.schema_type != "AVRO":
        return {"type": schema.schema_type}
    try:
        return json.loads(schema.schema_str or "") or {"type": "nothing"}
    except (ValueError, RecursionError) as error:
        return {"type": f"{type(error).__name__}: {error}"}


def _schema(topic: Topic) -> Schema:
    return Schema(json.dumps(avro_schema(topic.record)), "AVRO")
