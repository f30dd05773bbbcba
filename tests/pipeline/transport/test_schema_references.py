"""Writers whose schemas refer to named types of other subjects are read like any other."""

from __future__ import annotations

import asyncio
import copy
import json
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient

from infra.address import Addresses
from schemas.codec import avro_schema
from schemas.types import Interaction
from tests.build import an_interaction
from tests.pipeline.pipeline import Pipeline, a_pipeline
from topics.topic import INTERACTIONS


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        yield pipeline


def registered(client: SchemaRegistryClient, subject: str, schema: Any, *references: SchemaReference) -> int:
    return int(client.register_schema(subject, Schema(json.dumps(schema), "AVRO", list(references))))


def refers(field: str, name: str) -> tuple[Any, Any]:
    """Return a field's type under a name of its own, and the schema of an interaction that refers to it."""
    schema = copy.deepcopy(avro_schema(Interaction))
    told_field = next(one for one in schema["fields"] if one["name"] == field)
    part, told_field["type"] = told_field["type"], name
    return part, schema


async def test_records_of_schemas_with_references_are_read(pipeline: Pipeline) -> None:
    client = SchemaRegistryClient({"url": pipeline.addresses.schema_registry_url})
    action, schema = refers("action", "millrace.Action")
    registered(client, "millrace.Action", action | {"namespace": "millrace"})
    one = SchemaReference("millrace.Action", "millrace.Action", 1)
    direct = registered(client, "team-a.clicks-value", schema, one)
    # A type that refers to another one, which both are in other subjects.
    wrapper = {"type": "record", "name": "Shown", "namespace": "millrace", "fields": [
        {"name": "what", "type": "millrace.Action", "default": "unknown"}]}  # fmt: skip
    registered(client, "millrace.Shown", wrapper, one)
    more = copy.deepcopy(schema)
    more["fields"].append({"name": "shown", "type": ["null", "millrace.Shown"], "default": None})
    both = [SchemaReference("millrace.Shown", "millrace.Shown", 1), one]
    indirect = registered(client, "team-b.clicks-value", more, *both)
    other = registered(client, "team-c.things-value", wrapper | {"name": "Thing"}, one)

    worker, _ = await pipeline.start("feed"), await pipeline.start("trainer,links")
    ours = pipeline.registry.codec(Interaction)
    bodies = {direct: b"", indirect: b"\x00", other: b""}  # the end of the body: the field that is null
    for schema_id, end in bodies.items():
        event = an_interaction(event_id=f"e{schema_id}", user_id="u1", item_id=f"i{schema_id}", action="save")
        data = struct.pack(">bI", 0, schema_id) + ours.encode(event)[5:] + end
        pipeline.publisher.produce_bytes(INTERACTIONS, b"u1", data)
    await pipeline.publisher.flush()
    await pipeline.settle()
    user_features = (await pipeline.features())["u1"]
    assert (user_features.event_count, user_features.counts) == (2, {"save": 2})
    assert {recent_item.item_id for recent_item in user_features.recent} == {f"i{direct}", f"i{indirect}"}
    letters = [(letter.stage, letter.reason, letter.detail) for letter in await pipeline.dead_letters()]
    assert letters == [("user.decode", "wrong_record", "'millrace.Thing' is not a millrace.Interaction")]
    assert worker.returncode is None
    await asyncio.to_thread(client.__exit__)


async def test_ids_that_no_registry_gives_stop_nobody(pipeline: Pipeline) -> None:
    worker, _ = await pipeline.start("feed"), await pipeline.start("trainer,links")
    body = pipeline.registry.codec(Interaction).encode(an_interaction(user_id="u1"))[5:]
    ids = (0, 999_999, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
    for schema_id in ids:
        pipeline.publisher.produce_bytes(INTERACTIONS, b"u1", struct.pack(">bI", 0, schema_id) + body)
    await pipeline.publisher.flush()
    await pipeline.publish(INTERACTIONS, [an_interaction(user_id="u1")])
    await pipeline.settle()
    assert (await pipeline.features())["u1"].event_count == 1
    assert [letter.reason for letter in await pipeline.dead_letters()] == ["unknown_schema"] * len(ids)
    assert worker.returncode is None
