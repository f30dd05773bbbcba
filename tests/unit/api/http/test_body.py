"""Bodies as clients in the wild send them: nulls, times, byte order marks, beacons, and what is no JSON."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.body import milliseconds, texts
from api.http.error import InvalidError
from tests.unit.api.builder import NOW_MS, World, an_interaction_body
from tests.unit.api.security.test_auth import STRICT, a_token, bearer
from topics.topic import EXPERIMENTS, INTERACTIONS, PROFILE_UPDATES, TRIGGERS

NULLS = {"referrer": None, "page": "home", "depth": None, "place": 3, "tags": ["a"]}
KEPT = {"page": "home", "place": "3", "tags": '["a"]'}
CLICK = {"user_id": "ann", "event_type": "product_click", "product_id": "A123456789"}
JSON = {"Content-Type": "application/json"}
BEACON = {"Content-Type": "text/plain;charset=UTF-8"}


@pytest.mark.parametrize(
    ("path", "body", "context"),
    [
        ("/interaction", an_interaction_body(context=NULLS), KEPT),
        ("/interaction", an_interaction_body(context={"a": None}), {}),
        ("/interaction", an_interaction_body(context=None), {}),
        (
            "/interaction",
            an_interaction_body(context={"device_type": None}, device_type="mobile"),
            {"device_type": "mobile"},
        ),
        ("/interaction/batch", {"interactions": [an_interaction_body(context=NULLS)]}, KEPT),
        ("/interaction/batch", {"interactions": [an_interaction_body(context=None, query=None, value=None)]}, {}),
        (
            "/api/v1/interact",
            {"user_id": "ann", "content_id": "i1", "interaction_type": "view", "metadata": NULLS},
            KEPT,
        ),
        (
            "/api/v1/interact",
            {"user_id": "ann", "content_id": "i1", "interaction_type": "view", "metadata": None, "duration_seconds": 2},
            {"duration_seconds": "2.0"},
        ),
        (
            "/api/v1/interaction",
            {"username": "ann", "post_id": 1, "interaction_type": "like", "interaction_value": None, "event_id": None},
            {},
        ),
        (
            "/interactions",
            {"user_id": "ann", "event_type": "product_click", "product_id": "A123456789", "query": None},
            {},
        ),
        ("/api/v1/interactions/interactions", {**CLICK, "query": None}, {}),
    ],
)
async def test_null_is_absent_however_an_interaction_is_sent(path: str, body: Any, context: dict[str, str]) -> None:
    world = World()
    async with world.http() as http:
        answer = await http.post(path, json=body)
    assert answer.status_code in (200, 202), answer.text
    [event] = world.publisher.values_of(INTERACTIONS)
    assert event.context == context


async def test_null_is_absent_in_the_other_maps_too() -> None:
    world = World()
    arms = [{"name": "a", "parameters": {"BANDIT_BETA": None, "EPSILON": 1}}, {"name": "b", "parameters": None}]
    async with world.http(api_rerank_timeout_s=0.01) as http:
        profile = await http.post("/profile", json={"user_id": "ann", "attributes": {"age": None, "plan": "pro"}})
        none = await http.post("/profile", json={"user_id": "ann", "attributes": None})
        experiment = await http.post("/ab/experiments", json={"name": "n", "arms": arms})
        await http.post("/personalize", json={"user_id": "ann", "candidates": [{"id": "i1"}], "context": NULLS})
    assert (profile.status_code, none.status_code, experiment.status_code) == (202, 202, 201)
    assert [one.attributes for one in world.publisher.values_of(PROFILE_UPDATES)] == [{"plan": "pro"}, {}]
    assert [arm.parameters for arm in world.publisher.values_of(EXPERIMENTS)[0].arms] == [{"EPSILON": "1"}, {}]
    assert world.publisher.values_of(TRIGGERS)[0].context == KEPT


@given(
    st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.booleans() | st.text(max_size=5), max_size=6)
)
def test_no_null_is_ever_kept(values: dict[str, Any]) -> None:
    assert texts(values).keys() == {key for key, value in values.items() if value is not None}


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1.7e12", 1_700_000_000_000),
        ("1700000000000.0", 1_700_000_000_000),
        ("17E11", 1_700_000_000_000),
        ("1.700000000001E+12", 1_700_000_000_001),
        ("1700000000000", 1_700_000_000_000),
        ('"2023-11-14T22:13:20.000Z"', 1_700_000_000_000),
        ("null", NOW_MS),
    ],
)
@pytest.mark.parametrize("is_batch", [False, True])
async def test_a_time_is_taken_in_whichever_way_its_number_is_written(text: str, ms: int, is_batch: bool) -> None:
    body = f'{{"user_id":"ann","item_id":"i1","action":"click","occurred_at":{text}}}'
    path = "/interaction/batch" if is_batch else "/interaction"
    world = World()
    async with world.http() as http:
        answer = await http.post(path, content=f'{{"interactions":[{body}]}}' if is_batch else body, headers=JSON)
    assert answer.status_code == 202, answer.text
    assert world.publisher.values_of(INTERACTIONS)[0].occurred_at == ms


@pytest.mark.parametrize("path", ["/profile", "/retrieve", "/location", "/impression"])
async def test_every_event_takes_such_a_time(path: str) -> None:
    world = World()
    body = {"user_id": "ann", "lat": 0, "lon": 0, "items": [{"item_id": "i1"}], "occurred_at": 1.7e12}
    async with world.http() as http:
        assert (await http.post(path, json=body)).status_code == 202
    [[event]] = world.publisher.records_by_topic.values()
    assert getattr(event, "occurred_at", None) == 1_700_000_000_000


@pytest.mark.parametrize("text", ["1700000000000.5", "0.1", "1e300", "1e999", "-1.5e9", "true", "[]", '"soon"'])
async def test_a_time_that_is_none_is_refused_by_field(text: str) -> None:
    body = f'{{"user_id":"ann","item_id":"i1","action":"click","occurred_at":{text}}}'
    async with World().http() as http:
        answer = await http.post("/interaction", content=body, headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == ("occurred_at" if text != "1e999" else None) or text == "1e999"


@given(st.integers(0, 2**53))
def test_a_whole_number_is_the_same_time_as_a_float(ms: int) -> None:
    assert milliseconds(float(ms)) == milliseconds(ms) == ms


@given(st.floats(0, 2**51, exclude_min=True).filter(lambda value: not value.is_integer()))
def test_a_fraction_is_never_taken_silently(ms: float) -> None:
    with pytest.raises(InvalidError, match="whole number"):
        milliseconds(ms)


@pytest.mark.parametrize("path", ["/interaction", "/interaction/batch", "/profile", "/retrain"])
async def test_a_byte_order_mark_before_json_is_passed_over(path: str) -> None:
    one = an_interaction_body()
    body = json.dumps({"interactions": [one]} if path.endswith("batch") else one).encode("utf-8-sig")
    async with World().http() as http:
        answer = await http.post(path, content=body, headers=JSON)
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
async def test_json_of_another_encoding_is_malformed(encoding: str) -> None:
    async with World().http() as http:
        answer = await http.post(
            "/interaction", content=json.dumps(an_interaction_body()).encode(encoding), headers=JSON
        )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_json")


@pytest.mark.parametrize("around", [('{"x":', "}"), ('{"interactions":[', "]}")])
@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("path", ["/interaction", "/interaction/batch"])
async def test_json_nested_without_end_is_malformed(
    path: str, opens: str, closes: str, around: tuple[str, str]
) -> None:
    body = around[0] + opens * 40_000 + "1" + closes * 40_000 + around[1]
    async with World().http() as http:
        answer = await http.post(path, content=body, headers=JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_json")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"Origin": "http://api"}, 202),
        ({"Origin": "https://app.example"}, 202),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://api.evil.example"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "file://"}, 403),
        ({"Origin": ""}, 403),
    ],
)
@pytest.mark.parametrize("kind", ["text/plain;charset=UTF-8", "text/plain", 'Text/Plain; x=y; charset="utf-8"'])
async def test_a_beacon_is_taken_from_our_own_pages_and_those_that_may_ask(
    headers: dict[str, str], status: int, kind: str
) -> None:
    world = World()
    async with world.http(cors_origins="https://app.example") as http:
        body = json.dumps(an_interaction_body())
        answer = await http.post("/interaction", content=body, headers={"Content-Type": kind} | headers)
    assert answer.status_code == status, answer.text
    assert len(world.publisher.values_of(INTERACTIONS)) == (status == 202)


async def test_a_beacon_needs_a_token_where_others_do() -> None:
    world = World()
    async with world.http(**STRICT) as http:
        body = json.dumps(an_interaction_body())
        without = await http.post("/interaction", content=body, headers=BEACON)
        answer = await http.post("/interaction", content=body, headers=BEACON | bearer(a_token()))
    assert (without.status_code, answer.status_code) == (401, 202)


@pytest.mark.parametrize(
    "kind",
    [
        *(
            "text/html",
            "text/plain; charset=utf-16",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ),
        *("application/xml", "application/jsonp", "text", "application/json; charset=latin-1", ";", ""),
    ],
)
async def test_a_body_of_another_kind_is_refused(kind: str) -> None:
    async with World().http() as http:
        answer = await http.post(
            "/interaction", content=json.dumps(an_interaction_body()), headers={"Content-Type": kind}
        )
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_content_type")


@pytest.mark.parametrize(
    "kind", ["application/json", "APPLICATION/JSON", "application/json; charset=utf-8; profile=x", "application/json;"]
)
async def test_json_may_have_parameters(kind: str) -> None:
    headers = {"Content-Type": kind, "Content-Encoding": "identity"}
    async with World().http() as http:
        answer = await http.post("/interaction", content=json.dumps(an_interaction_body()), headers=headers)
    assert answer.status_code == 202
