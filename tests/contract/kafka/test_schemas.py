import copy
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from infra.kafka.registry import Registry
from schemas.codec import Codec, DecodeError, avro_schema
from schemas.generate import load
from tests.contract.kafka import golden
from topics import TOPICS, Topic
from topics.topic import LOCATIONS

RECORDS = tuple(topic.record for topic in TOPICS)


def parts(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk the named types and the fields of a schema."""
    if isinstance(schema, list):
        for branch in schema:
            yield from parts(branch, path)
    if not isinstance(schema, dict):
        return
    if "name" in schema:
        path = f"{path}.{schema['name']}".lstrip(".")
        yield path, schema
    for inside in [*schema.get("fields", []), schema.get("items"), schema.get("values"), schema.get("type")]:
        yield from parts(inside, path)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_type_and_field_is_documented(record: type[msgspec.Struct]) -> None:
    all_parts = list(parts(avro_schema(record)))
    assert len(all_parts) > len(avro_schema(record)["fields"])
    assert [path for path, part in all_parts if not part.get("doc", "").strip().endswith((".", ")"))] == []


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_enum_tolerates_a_newer_symbol(record: type[msgspec.Struct]) -> None:
    for path, part in parts(avro_schema(record)):
        if part.get("type") == "enum":
            assert (part["symbols"][0], part.get("default")) == ("unknown", "unknown"), path


def test_every_record_travels_in_a_topic() -> None:
    assert set(load()) == {record.__name__ for record in RECORDS}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_the_present_schema_has_golden_bytes(record: type[msgspec.Struct]) -> None:
    stored_versions = golden.versions(record)
    assert stored_versions, "run `python -m tests.contract.kafka.golden`"
    assert stored_versions[-1].schema == golden.undocumented(avro_schema(record)), (
        "run `python -m tests.contract.kafka.golden`"
    )
    value = msgspec.convert(stored_versions[-1].value, record)
    assert Codec(record, golden.SCHEMA_ID).encode(value).hex() == stored_versions[-1].hex


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_version_ever_written_is_read(record: type[msgspec.Struct]) -> None:
    for version in golden.versions(record):
        codec = Codec(record, golden.SCHEMA_ID + 1)
        codec.learn(golden.SCHEMA_ID, version.schema)
        assert codec.decode(bytes.fromhex(version.hex)) == msgspec.convert(version.value, record)


@pytest.fixture
def registration(stack: Any) -> Iterator[tuple[Registry, Topic]]:
    """Give the real registry and a topic of this test's own, under whose subject a location's schema stands."""
    registry = Registry(stack.schema_registry_url)
    topic = replace(LOCATIONS, name=f"contract-{uuid.uuid4().hex}.v1")
    registry.register(topic)
    yield registry, topic
    registry.close()


def fits(stack: Any, topic: Topic, schema: dict[str, Any]) -> bool:
    """Return whether the registry calls a schema compatible with all versions under the topic's subject."""
    with SchemaRegistryClient({"url": stack.schema_registry_url}) as client:
        return bool(client.test_compatibility_all_versions(topic.subject, Schema(json.dumps(schema), "AVRO")))


def test_the_registry_accepts_an_added_field_with_a_default(stack: Any, registration: tuple[Registry, Topic]) -> None:
    _, topic = registration
    assert fits(stack, topic, changed(topic, add={"name": "altitude_m", "type": "double", "default": 0.0}))


def test_the_registry_refuses_an_added_field_without_a_default(
    stack: Any, registration: tuple[Registry, Topic]
) -> None:
    _, topic = registration
    assert not fits(stack, topic, changed(topic, add={"name": "altitude_m", "type": "double"}))


def test_the_registry_refuses_a_retyped_field(stack: Any, registration: tuple[Registry, Topic]) -> None:
    _, topic = registration
    assert not fits(stack, topic, changed(topic, retype={"resolution": "string"}))


def test_a_breaking_schema_cannot_be_registered(stack: Any, registration: tuple[Registry, Topic]) -> None:
    _, topic = registration
    payload = json.dumps(changed(topic, retype={"resolution": "string"}))
    with (
        SchemaRegistryClient({"url": stack.schema_registry_url}) as client,
        pytest.raises(SchemaRegistryError) as exc_info,
    ):
        client.register_schema(topic.subject, Schema(payload, "AVRO"))
    assert exc_info.value.http_status_code == 409


def test_the_registry_holds_a_schema_to_every_earlier_one(stack: Any, registration: tuple[Registry, Topic]) -> None:
    _, topic = registration
    without = changed(topic, drop="resolution")
    back_again = changed(topic, retype={"resolution": "string"}) | {"doc": "Fits its predecessor, not the one before."}
    back_again["fields"] = [f | ({"default": ""} if f["name"] == "resolution" else {}) for f in back_again["fields"]]
    with SchemaRegistryClient({"url": stack.schema_registry_url}) as client:
        client.register_schema(topic.subject, Schema(json.dumps(without), "AVRO"))
    assert not fits(stack, topic, back_again)


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ('{"type": "object", "properties": {"a": {"type": "string"}}}', "JSON"),
        ('syntax = "proto3"; message Thing { string a = 1; }', "PROTOBUF"),
    ],
)
async def test_a_schema_of_another_kind_is_the_wrong_record(
    stack: Any, registration: tuple[Registry, Topic], schema: str, kind: str
) -> None:
    registry, topic = registration
    with SchemaRegistryClient({"url": stack.schema_registry_url}) as client:
        schema_id = client.register_schema(f"contract-{uuid.uuid4().hex}-value", Schema(schema, kind))
    codec = Codec(topic.record, registry.register(topic))
    await registry.learn(codec, schema_id)
    with pytest.raises(DecodeError) as exc_info:
        codec.decode(b"\0" + schema_id.to_bytes(4, "big") + b"{}")
    assert exc_info.value.reason == "wrong_record"


async def test_an_id_that_the_registry_never_gave_is_unknown(registration: tuple[Registry, Topic]) -> None:
    registry, topic = registration
    codec = Codec(topic.record, registry.register(topic))
    await registry.learn(codec, 999_999)
    with pytest.raises(DecodeError) as exc_info:
        codec.decode(b"\0" + (999_999).to_bytes(4, "big") + b"{}")
    assert exc_info.value.reason == "unknown_schema"


def test_registering_again_gives_the_same_id(registration: tuple[Registry, Topic]) -> None:
    registry, topic = registration
    assert registry.register(topic) == registry.register(topic)


def changed(
    topic: Topic, *, add: dict[str, Any] | None = None, retype: dict[str, Any] | None = None, drop: str = ""
) -> dict[str, Any]:
    """Return the topic's schema with a field added, the types of some fields replaced, or a field dropped."""
    schema = copy.deepcopy(avro_schema(topic.record))
    schema["fields"] = [field for field in schema["fields"] if field["name"] != drop]
    for field in schema["fields"]:
        field["type"] = (retype or {}).get(field["name"], field["type"])
    if add is not None:
        schema["fields"].append(add)
    return schema
