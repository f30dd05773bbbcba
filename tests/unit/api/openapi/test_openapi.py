"""What the API says of itself: complete, true, readable without a network."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from api.app import endpoints
from api.http.endpoint import Endpoint
from api.openapi.asyncapi import asyncapi
from api.openapi.error_codes import error_codes
from api.openapi.openapi import openapi, refusals
from api.security.guard import Guard
from infra.privacy.aggregation_store import STATES, AggregationTerms, MemoryAggregationStore, RoundMessage
from infra.redis.stores.experiment_store import MemoryExperimentStore
from schemas.types import Arm
from tests.build import a_feed, an_experiment
from tests.unit.api.builder import NOW_MS, World, a_context
from topics import TOPICS

CONTEXT = a_context()
ENDPOINTS = endpoints(CONTEXT, Guard(CONTEXT))
WITH_EXAMPLES = [one for one in ENDPOINTS if one.example is not None]


def named(one: Endpoint) -> str:
    return f"{one.method} {one.path}"


def refs(part: Any) -> Iterator[str]:
    """Yield every reference within a document."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from refs(value)
    elif isinstance(part, list):
        for value in part:
            yield from refs(value)


def resolved(document: Any, ref: str) -> Any:
    node = document
    for step in ref.removeprefix("#/").split("/"):
        node = node[step]
    return node


@pytest.mark.parametrize("one", ENDPOINTS, ids=named)
def test_every_endpoint_says_what_it_does_takes_and_answers(one: Endpoint) -> None:
    assert one.description
    assert any(status < 400 for status in one.answers)
    assert one.method == "GET" or one.body is None or not one.body_required or one.example is not None


async def aggregations_before(message: str) -> MemoryAggregationStore:
    """Return an aggregation of two clients whose round of this name is in progress, or its first one."""
    store = MemoryAggregationStore()
    await store.create("alex", AggregationTerms(counters=3, threshold=2, max_clients=2, round_ms=60_000), NOW_MS)
    for number in range(1, STATES.index(message) if message in STATES else 1):  # type: ignore[arg-type]
        for user_id in ("alex", "ben"):
            await store.add("alex", RoundMessage(round=number, user_id=user_id, content=b""), NOW_MS)
    return store


@pytest.mark.parametrize("one", WITH_EXAMPLES, ids=named)
async def test_every_example_runs(one: Endpoint) -> None:
    experiments = MemoryExperimentStore()
    arms = [Arm(name="as it is", share=0.5), Arm(name="surprising", share=0.5)]
    await experiments.write([an_experiment(experiment_id="alex", status="paused", arms=arms)])
    aggregations = await aggregations_before(one.path.rpartition("/")[2])
    world = World(clients={"experiments": experiments, "aggregations": aggregations})
    await world.feeds.write([a_feed(user_id="alex")])
    path = re.sub(r"{\w+(:\w+)?}", "alex", one.path)
    async with world.http(admin_token="sesame", api_rerank_timeout_s=0.05) as http:
        answer = await http.request(one.method, path, json=one.example, headers={"Authorization": "Bearer sesame"})
    waits_for_a_worker = answer.status_code == 504 and 504 in refusals(one)
    assert answer.status_code in one.answers or waits_for_a_worker, answer.text


def test_the_document_has_every_endpoint_and_no_loose_end() -> None:
    document = json.loads(json.dumps(openapi(ENDPOINTS, version="1", is_strict=True)))
    assert document["openapi"] == "3.1.0"
    assert sum(len(operations) for operations in document["paths"].values()) == len(ENDPOINTS)
    for ref in refs(document):
        resolved(document, ref)
    ids = [one["operationId"] for operations in document["paths"].values() for one in operations.values()]
    assert len(ids) == len(set(ids))
    for path, operations in document["paths"].items():
        for one in operations.values():
            inside = {parameter["name"] for parameter in one["parameters"] if parameter["in"] == "path"}
            assert inside == set(re.findall(r"{(\w+)}", path))
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def test_examples_fit_their_schemas() -> None:
    document = openapi(ENDPOINTS, version="1", is_strict=True)
    for one in WITH_EXAMPLES:
        path = re.sub(r"{(\w+)(:\w+)?}", r"{\1}", one.path)
        content = document["paths"][path][one.method.lower()]["requestBody"]["content"]["application/json"]
        schema = content["schema"] | {"components": document["components"]}
        jsonschema_rs.validate(schema, content["example"])


@pytest.mark.parametrize(("strict", "asks"), [(True, [{"bearer": []}]), (False, [{}, {"bearer": []}])])
async def test_the_document_says_whether_a_token_is_needed(strict: bool, asks: Any) -> None:
    async with World().http(environment="production" if strict else "development") as http:
        paths = (await http.get("/openapi.json")).json()["paths"]
    assert paths["/content"]["get"]["security"] == asks
    assert paths["/admin/cache/clear/{user_id}"]["post"]["security"] == [{"bearer": []}]
    assert "security" not in paths["/health"]["get"]


@pytest.mark.parametrize("page", ["/docs", "/redoc", "/docs/topics", "/docs/errors"])
async def test_pages_ask_for_nothing_from_elsewhere(page: str) -> None:
    async with World().http() as http:
        answer = await http.get(page)
        assert answer.status_code == 200
        assert "'unsafe-inline'" not in answer.headers["Content-Security-Policy"].partition("style-src")[0]
        assert not re.search(r"<script(?![^>]*src=)|(?:src|href)=\"(?:https?:)?//", answer.text)
        for part in re.findall(r'(?:src|href|spec-url)="(/[^"#]+)"', answer.text):
            assert (await http.get(part)).status_code == 200, part


async def test_the_pages_name_every_topic_field_and_error() -> None:
    async with World().http() as http:
        topics, errors = (await http.get("/docs/topics")).text, (await http.get("/docs/errors")).text
        refusal = (await http.get("/content?user_id=")).json()["error"]
    for topic in TOPICS:
        assert f'id="{topic.short_name}"' in topics
        assert all(f"<code>{name}</code>" in topics for name in topic.record.__struct_fields__)
    assert all(f'id="{entry.code}"' in errors for entry in error_codes())
    assert refusal["docs"] == "/docs/errors#invalid_value"


def test_the_document_of_topics_is_whole() -> None:
    document = json.loads(json.dumps(asyncapi(TOPICS, version="1", brokers="kafka-1:9092,kafka-2:9092")))
    assert document["asyncapi"] == "3.0.0"
    assert document["servers"]["kafka"]["host"] == "kafka-1:9092"
    assert {channel["address"] for channel in document["channels"].values()} == {topic.name for topic in TOPICS}
    for ref in refs({key: document[key] for key in ("channels", "operations")}):
        resolved(document, ref)
    assert {"send_interactions", "receive_interactions", "send_feeds"} <= set(document["operations"])
    assert "receive_feeds" not in document["operations"]


def test_every_error_has_one_code() -> None:
    entries = error_codes()
    assert len({entry.code for entry in entries}) == len(entries)
    assert all(entry.description for entry in entries)
    codes = {kind.code for one in ENDPOINTS for kinds in refusals(one).values() for kind in kinds}
    assert codes <= {entry.code for entry in entries}
