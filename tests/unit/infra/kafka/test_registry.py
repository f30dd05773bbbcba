"""Asking the registry: what it does not hold is told from a registry that does not answer."""

from __future__ import annotations

from typing import Any, cast

import pytest
from confluent_kafka.schema_registry import RegisteredSchema, Schema, SchemaReference
from confluent_kafka.schema_registry.error import SchemaRegistryError

from infra.kafka.registry import Registry
from schemas.codec import Codec, DecodeError
from schemas.types import Location
from tests.build import a_ping

THEIRS = 8
WHOLE = '{"type": "record", "name": "Thing", "fields": [{"name": "kind", "type": "a.Kind"}]}'


class Client:
    """A registry's client, which answers as it is told."""

    def __init__(self, answer: Schema | Exception, *, away: bool = False, **subjects: Schema | Exception) -> None:
        self._answer, self._away, self._subjects = answer, away, subjects
        self.requests: list[object] = []

    def get_schema(self, schema_id: int) -> Schema:
        self.requests.append(schema_id)
        return given(self._answer)

    def get_subjects(self) -> list[str]:
        if self._away:
            raise SchemaRegistryError(503, 50301, "starting")
        return []

    def get_version(self, subject: str, version: int) -> RegisteredSchema:
        self.requests.append((subject, version))
        missing = SchemaRegistryError(404, 40401, "no such subject")
        return RegisteredSchema(subject, version, 1, "guid", given(self._subjects.get(subject, missing)))


def given(answer: Schema | Exception) -> Schema:
    if isinstance(answer, Exception):
        raise answer
    return answer


def failing(status: int) -> SchemaRegistryError:
    return SchemaRegistryError(status, status * 100, "told")


async def refusal(client: Client, schema_id: int = THEIRS) -> DecodeError:
    registry, codec = Registry("http://127.0.0.1:1"), Codec(Location, 7)
    registry._client = cast(Any, client)
    await registry.learn(codec, schema_id)
    frame = b"\0" + schema_id.to_bytes(4, "big") + codec.encode(a_ping())[5:]
    with pytest.raises(DecodeError) as exc_info:
        codec.decode(frame)
    return exc_info.value


@pytest.mark.parametrize("status", [400, 404, 405, 422, 500, 502])
async def test_an_id_that_the_registry_fails_at_is_missing(status: int) -> None:
    assert (await refusal(Client(failing(status)))).reason == "unknown_schema"


@pytest.mark.parametrize("schema_id", [0, 1 << 31, (1 << 32) - 1])
async def test_an_id_that_no_registry_gives_is_not_asked_for(schema_id: int) -> None:
    client = Client(failing(503), away=True)
    assert (await refusal(client, schema_id)).reason == "unknown_schema"
    assert client.requests == []


@pytest.mark.parametrize(("status", "away"), [(401, False), (403, False), (429, False), (500, True), (503, True)])
async def test_a_registry_that_does_not_answer_says_nothing_of_the_id(status: int, away: bool) -> None:
    with pytest.raises(SchemaRegistryError):
        await refusal(Client(failing(status), away=away))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '"', "null", "7", '{"type": "map"}', '["null", "string"]'])
async def test_what_is_no_schema_is_another_record(text: str) -> None:
    assert (await refusal(Client(Schema(text, "AVRO")))).reason == "wrong_record"


async def test_references_are_fetched_each_after_those_that_it_refers_to() -> None:
    one = [SchemaReference("a.Kind", "kinds", 3)]
    kind = Schema('{"type": "enum", "name": "Kind", "namespace": "a", "symbols": ["x"]}', "AVRO")
    client = Client(Schema(WHOLE, "AVRO", one), kinds=kind)
    assert "'Thing' is not a millrace.Location" in (await refusal(client)).detail
    assert client.requests == [THEIRS, ("kinds", 3)]


async def test_a_reference_that_is_not_there_is_named() -> None:
    client = Client(Schema(WHOLE, "AVRO", [SchemaReference("a.Kind", "kinds", 3)]))
    assert "a.Kind" in (await refusal(client)).detail


async def test_references_without_end_are_given_up() -> None:
    loop = Schema(WHOLE, "AVRO", [SchemaReference("a.Kind", "loop", 1)])
    client = Client(loop, loop=loop)
    assert (await refusal(client)).reason == "wrong_record"
    assert len(client.requests) < 200
