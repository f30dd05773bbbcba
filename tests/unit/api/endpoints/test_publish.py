import json
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import h3
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.fakes.memory_publisher import MemoryPublisher
from infra.kafka.partition import partition_of
from infra.kafka.publisher import RecordTooLargeError
from schemas import limit
from schemas.limit import PROFILE_FIELDS
from tests.unit.api.builder import NOW_MS, World, an_interaction_body
from tests.unit.api.security.test_auth import STRICT, a_token, bearer
from topics import Topic
from topics.topic import IMPRESSIONS, INTERACTIONS, LOCATIONS, PROFILE_UPDATES, TRIGGERS

LISBON = {"lat": 38.7223, "lon": -9.1393}


async def test_interaction_is_published_as_sent_and_its_new_id_returned() -> None:
    world = World()
    body = an_interaction_body(
        value=2.5, session_id="s", request_id="r", context={"page": "home", "place": 3, "ad": False}
    )
    async with world.http() as http:
        answer = await http.post("/interaction", json=body)
    assert answer.status_code == 202
    [event] = world.publisher.values_of(INTERACTIONS)
    partition = partition_of(b"ann", INTERACTIONS.partitions)
    assert answer.json() == {"event_id": event.event_id, "token": f"interactions.v1-{partition}-0"}
    assert uuid.UUID(event.event_id).version == 7
    assert (event.user_id, event.item_id, event.action, event.value) == ("ann", "i1", "click", 2.5)
    assert (event.session_id, event.request_id, event.occurred_at) == ("s", "r", NOW_MS)
    assert event.context == {"page": "home", "place": "3", "ad": "false"}


@pytest.mark.parametrize(
    ("occurred_at", "expected_ms"),
    [
        (1_600_000_000_000, 1_600_000_000_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-14T23:13:20.250+01:00", 1_700_000_000_250),
        ("2023-11-14T22:13:20", 1_700_000_000_000),
    ],
)
async def test_interaction_time_is_ms_or_iso_8601(occurred_at: Any, expected_ms: int) -> None:
    world = World()
    async with world.http() as http:
        answer = await http.post("/interaction", json=an_interaction_body(occurred_at=occurred_at, event_id="mine"))
    assert answer.json()["event_id"] == "mine"
    assert world.publisher.values_of(INTERACTIONS)[0].occurred_at == expected_ms


@pytest.mark.parametrize(
    ("occurred_at", "problem"),
    [
        (NOW_MS // 1_000, "looks like seconds"),
        (NOW_MS * 1_000, "looks like microseconds"),
        (NOW_MS * 1_000_000, "looks like nanoseconds"),
        (0, "not 0"),
        (-1, "not -1"),
        ("1970-01-01T00:00:00Z", "not 0"),
        ("1994-12-31T23:59:59Z", "not 788918399000"),
        ("1995-01-01T00:30:00+01:00", "not 788916600000"),
        ("9999-12-31T23:59:59Z", "not 253402300799000"),
        (NOW_MS / 1_000 + 0.5, ""),
        ("1995-01-01T00:00:00Z", "is more than 3650 days ago; EVENT_MAX_AGE_DAYS"),
        ("2013-11-01", ""),
        (NOW_MS - 3_650 * 86_400_000 - 1, "producers of the topic may write history of any age"),
    ],
)
async def test_a_time_that_cannot_be_meant_is_refused_and_says_what_is_right(occurred_at: Any, problem: str) -> None:
    world = World()
    async with world.http() as http:
        one = await http.post("/interaction", json=an_interaction_body(occurred_at=occurred_at))
        many = await http.post(
            "/interaction/batch", json={"interactions": [an_interaction_body(occurred_at=occurred_at)]}
        )
    assert (one.status_code, many.status_code) == (422, 422)
    assert one.json()["error"]["field"] == "occurred_at"
    assert problem in one.json()["error"]["message"]
    assert problem in many.text
    assert not world.publisher.values_of(INTERACTIONS)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/interaction", an_interaction_body()),
        ("/location", {"user_id": "ann", "lat": 40.7, "lon": -74.0}),
        ("/impression", {"user_id": "ann", "items": [{"item_id": "i1", "position": 0}]}),
        ("/profile", {"user_id": "ann", "topics": ["jazz"]}),
    ],
)
async def test_events_may_be_as_old_as_the_setting_says(path: str, body: dict[str, Any]) -> None:
    old, answers = NOW_MS - 4_000 * 86_400_000, []
    for days in (3_650.0, 4_001.0):
        async with World().http(event_max_age_days=days) as http:
            answers.append(await http.post(path, json=body | {"occurred_at": old}))
    assert [answer.status_code for answer in answers] == [422, 202]
    assert "EVENT_MAX_AGE_DAYS" in answers[0].json()["error"]["message"]


class Narrow(MemoryPublisher):
    """A broker that takes small records only."""

    async def publish(self, topic: Topic, values: Sequence[msgspec.Struct]) -> dict[int, int]:
        raise RecordTooLargeError(topic.name, b"ann", 9_000, 5_000)


async def test_a_record_larger_than_its_topic_takes_is_refused_for_good() -> None:
    async with World(publisher=Narrow()).http() as http:
        answer = await http.post("/interaction", json=an_interaction_body())
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (413, "body_too_large")
    assert "5000 bytes" in error["message"]
    assert "Retry-After" not in answer.headers


async def test_interaction_rating_is_another_name_for_value() -> None:
    world = World()
    async with world.http() as http:
        await http.post("/interaction", json=an_interaction_body(action="rate", rating=4))
    assert world.publisher.values_of(INTERACTIONS)[0].value == 4.0


@pytest.mark.parametrize(
    ("value", "scale", "status"), [(5, 5, 202), (9, 5, 422), (9, 10, 202), (11, 10, 422), (80, 100, 202)]
)
async def test_a_rating_is_held_to_the_scale_of_the_deployment(value: float, scale: float, status: int) -> None:
    world = World()
    body = an_interaction_body(action="rate", value=value)
    async with world.http(rating_scale=float(scale)) as http:
        one = await http.post("/interaction", json=body)
        many = await http.post("/interaction/batch", json={"interactions": [body]})
    assert (one.status_code, many.status_code) == (status, status)
    assert len(world.publisher.values_of(INTERACTIONS)) == (2 if status == 202 else 0)
    if status == 422:
        error = one.json()["error"]
        assert error["field"] == "value"
        assert f"from 0 to {scale}, not {value}; RATING_SCALE" in error["message"]


async def test_interaction_fields_of_other_versions_are_ignored() -> None:
    async with World().http() as http:
        assert (await http.post("/interaction", json=an_interaction_body(device_type="mobile"))).status_code == 202


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (an_interaction_body(user_id=7), "user_id"),
        (an_interaction_body(user_id=""), "user_id"),
        (an_interaction_body(user_id="x" * (limit.ID_CHARS + 1)), "user_id"),
        (an_interaction_body(user_id="~everyone"), "user_id"),
        (an_interaction_body(action="dance"), "action"),
        (an_interaction_body(action="unknown"), "action"),
        (an_interaction_body(item_id=None), "item_id"),
        (an_interaction_body(action="rate"), "value"),
        (an_interaction_body(action="rate", value=11), "value"),
        (an_interaction_body(action="search", item_id=None), "query"),
        (an_interaction_body(occurred_at=NOW_MS + limit.FUTURE_MS + 1), "occurred_at"),
        (an_interaction_body(occurred_at=-1), "occurred_at"),
        (an_interaction_body(occurred_at="yesterday"), "occurred_at"),
        (an_interaction_body(context={"a": {"b": 1}}), "context[...]"),
        ({"item_id": "i1", "action": "click"}, "user_id"),
        ([], None),
    ],
)
async def test_interaction_with_a_bad_value_is_refused_by_field(body: Any, field: str | None) -> None:
    world = World()
    async with world.http() as http:
        answer = await http.post("/interaction", json=body)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "invalid_value"
    assert error.get("field") == field
    assert not world.publisher.records_by_topic


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"user_id":"\xff"}', b'{"user_id":"\\ud800"}'])
async def test_body_that_is_not_json_is_malformed(body: bytes) -> None:
    async with World().http() as http:
        answer = await http.post("/interaction", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_json")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/csv"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_body_of_another_type_is_refused(headers: dict[str, str]) -> None:
    async with World().http() as http:
        answer = await http.post("/interaction", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_content_type")


async def test_body_charset_utf_8_is_taken() -> None:
    headers = {"Content-Type": 'application/json; charset="UTF-8"'}
    async with World().http() as http:
        answer = await http.post("/interaction", content=json.dumps(an_interaction_body()), headers=headers)
    assert answer.status_code == 202


async def test_body_too_large_is_refused_by_its_length() -> None:
    async with World().http(api_max_body_bytes=100) as http:
        answer = await http.post("/interaction", json=an_interaction_body(query="x" * 100))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


async def test_body_too_large_is_refused_while_it_streams_in() -> None:
    accepted_count = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal accepted_count
        while True:
            accepted_count += 50
            yield b" " * 50

    async with World().http(api_max_body_bytes=100) as http:
        answer = await http.post("/interaction", content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert 100 < accepted_count < 2_000


async def test_batch_is_published_in_order() -> None:
    world = World()
    bodies = [an_interaction_body(item_id=f"i{place}", event_id=f"e{place}") for place in range(20)]
    async with world.http() as http:
        answer = await http.post("/interaction/batch", json={"interactions": bodies})
    assert answer.status_code == 202
    assert answer.json() == {"accepted": 20, "event_ids": [f"e{place}" for place in range(20)]}
    assert [event.item_id for event in world.publisher.values_of(INTERACTIONS)] == [f"i{place}" for place in range(20)]


async def test_batch_takes_the_good_entries_and_names_each_bad_one() -> None:
    world = World()
    bodies = [
        an_interaction_body(event_id="e0"),
        an_interaction_body(action="dance"),
        an_interaction_body(event_id="e2"),
        an_interaction_body(user_id=""),
    ]
    async with world.http() as http:
        answer = await http.post("/interaction/batch", json={"interactions": bodies})
    assert answer.status_code == 207
    body = answer.json()
    assert (body["accepted"], body["event_ids"]) == (2, ["e0", "e2"])
    assert [(one["index"], one["code"], one["field"]) for one in body["problems"]] == [
        (1, "invalid_value", "action"),
        (3, "invalid_value", "user_id"),
    ]
    assert all(one["message"] for one in body["problems"])
    assert [event.event_id for event in world.publisher.values_of(INTERACTIONS)] == ["e0", "e2"]


BAD_ENTRIES = [
    *("null", "7", '"text"', "[]", "{}", "true", '{"user_id":"ann"}', '{"user_id":"ann","action":"click"}'),
    '{"user_id":"ann","action":"click","item_id":"i1","occurred_at":"soon"}',
    '{"user_id":"ann","action":"click","item_id":"i1","context":{"a":{"b":1}}}',
    '{"user_id":"~everyone","action":"click","item_id":"i1"}',
    '{"user_id":"ann","action":"rate","item_id":"i1"}',
    '{"user_id":"ann","action":"rate","item_id":"i1","value":1e999}',
    '{"user_id":"a\\ud800","action":"click","item_id":"i1"}',
    '{"user_id":"ann","action":"rate","item_id":"i1","value":NaN}',
    '{"user_id":"ann","action":"search","query":"half of it: \\ude80"}',
    '{"user_id":"ann","action":"click","item_id":"' + "x" * 300_000 + '"}',
]


@pytest.mark.parametrize("bad", BAD_ENTRIES, ids=lambda bad: bad[:60])
async def test_no_bad_entry_of_a_batch_costs_a_good_one(bad: str) -> None:
    world = World()
    good = json.dumps(an_interaction_body())
    async with world.http() as http:
        answer = await http.post(
            "/interaction/batch",
            content=f'{{"interactions":[{bad},{good},{bad}]}}',
            headers={"Content-Type": "application/json"},
        )
    assert answer.status_code == 207, answer.text
    assert [problem["index"] for problem in answer.json()["problems"]] == [0, 2]
    assert len(world.publisher.values_of(INTERACTIONS)) == 1


@given(st.lists(st.booleans(), min_size=1, max_size=30))
async def test_as_many_entries_are_published_as_are_good(good: list[bool]) -> None:
    world = World()
    bodies = [
        an_interaction_body(event_id=f"e{place}", action="click" if one else "dance") for place, one in enumerate(good)
    ]
    async with world.http() as http:
        answer = await http.post("/interaction/batch", json={"interactions": bodies})
    body, accepted_ids = answer.json(), [f"e{place}" for place, one in enumerate(good) if one]
    assert answer.status_code == (202 if all(good) else 207 if any(good) else 422)
    assert (
        [event.event_id for event in world.publisher.values_of(INTERACTIONS)]
        == body.get("event_ids", [])
        == accepted_ids
    )
    problems = body.get("problems") or body.get("error", {}).get("problems", [])
    assert [one["index"] for one in problems] == [place for place, one in enumerate(good) if not one]


async def test_a_batch_of_bad_entries_alone_is_refused() -> None:
    world = World()
    async with world.http() as http:
        answer = await http.post("/interaction/batch", json={"interactions": [an_interaction_body(user_id=""), 7]})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], [one["index"] for one in error["problems"]]) == (
        422,
        "invalid_batch",
        [0, 1],
    )
    assert not world.publisher.records_by_topic


async def test_an_entry_of_another_user_is_named_and_the_callers_own_are_taken() -> None:
    world = World()
    bodies = [an_interaction_body(), an_interaction_body(user_id="bob"), an_interaction_body(action="dance")]
    async with world.http(**STRICT) as http:
        answer = await http.post("/interaction/batch", json={"interactions": bodies}, headers=bearer(a_token()))
        theirs = await http.post(
            "/interaction/batch", json={"interactions": bodies[1:2] * 2}, headers=bearer(a_token())
        )
    assert [(one["index"], one["code"]) for one in answer.json()["problems"]] == [
        (1, "forbidden"),
        (2, "invalid_value"),
    ]
    assert [event.user_id for event in world.publisher.values_of(INTERACTIONS)] == ["ann"]
    assert (theirs.status_code, theirs.json()["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize("count", [0, 4])
async def test_batch_has_a_smallest_and_a_largest_size(count: int) -> None:
    async with World().http(api_max_batch=3) as http:
        answer = await http.post("/interaction/batch", json={"interactions": [an_interaction_body()] * count})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "interactions")


async def test_location_is_coarsened_before_anything_leaves() -> None:
    world = World()
    async with world.http(location_resolution=6) as http:
        answer = await http.post("/location", json={"user_id": "ann", **LISBON})
    [event] = world.publisher.values_of(LOCATIONS)
    assert event.cell == h3.latlng_to_cell(LISBON["lat"], LISBON["lon"], 6)
    assert event.resolution == 6
    assert answer.json() == {"event_id": event.event_id, "cell": event.cell}


@pytest.mark.parametrize(
    ("place", "field"),
    [({"lat": 91.2345, "lon": 0}, "lat"), ({"lat": 0, "lon": -180.5678}, "lon"), ({"lat": 1}, "lon")],
)
async def test_location_off_the_globe_is_refused_without_repeating_it(place: dict[str, float], field: str) -> None:
    async with World().http() as http:
        answer = await http.post("/location", json={"user_id": "ann", **place})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert "2345" not in answer.text
    assert "5678" not in answer.text


async def test_profile_is_published() -> None:
    world = World()
    fields = {"user_id": "ann", "segment": "25-34", "categories": ["music"], "muted": ["video"], "city": "Lisbon"}
    async with world.http() as http:
        answer = await http.post("/profile", json=fields)
    [event] = world.publisher.values_of(PROFILE_UPDATES)
    assert answer.status_code == 202
    assert (event.segment, event.categories, event.muted, event.city) == ("25-34", ["music"], ["video"], "Lisbon")
    assert (event.kind, event.fields) == ("update", list(PROFILE_FIELDS)), "all of a profile is replaced"


async def test_the_fields_of_a_profile_that_are_sent_are_published_and_no_others() -> None:
    world = World()
    async with world.http() as http:
        answers = [
            await http.patch("/profile/ann", json={"muted": ["  horror\u00a0"], "city": None}),
            await http.patch("/profile/ann", json={"attributes": {"age": 31}, "user_id": "bob"}),
            await http.patch("/profile/ann", json={}),
            await http.patch("/profile/ann", json={"muted": None}),
            await http.patch("/profile/ann", json={"timezone": "Mars/Olympus"}),
        ]
    assert [answer.status_code for answer in answers] == [202, 202, 422, 422, 422]
    first, second = world.publisher.values_of(PROFILE_UPDATES)
    assert (first.user_id, first.fields, first.muted, first.city) == ("ann", ["muted", "city"], ["horror"], None)
    assert (second.user_id, second.fields, second.attributes) == ("ann", ["attributes"], {"age": "31"})


async def test_a_profile_is_forgotten_by_an_event() -> None:
    world = World()
    async with world.http() as http:
        answer = await http.delete("/profile/ann")
    [event] = world.publisher.values_of(PROFILE_UPDATES)
    assert (answer.status_code, answer.json()) == (202, {"event_id": event.event_id})
    assert (event.kind, event.user_id, event.fields, event.occurred_at) == ("forget", "ann", [], NOW_MS)


async def test_impression_places_are_those_of_the_list_unless_said() -> None:
    world = World()
    shown_items = [{"item_id": "i1"}, {"item_id": "i2", "propensity": 0.25}, {"item_id": "i3", "position": 9}]
    async with world.http() as http:
        await http.post("/impression", json={"user_id": "ann", "items": shown_items, "request_id": "r"})
    [event] = world.publisher.values_of(IMPRESSIONS)
    assert [(item.item_id, item.position, item.propensity) for item in event.items] == [
        ("i1", 0, None),
        ("i2", 1, 0.25),
        ("i3", 9, None),
    ]


@pytest.mark.parametrize("name", ["Mars/Olympus", "localtime", ""])
async def test_profile_with_no_such_time_zone_is_refused(name: str) -> None:
    world = World()
    async with world.http() as http:
        answer = await http.post("/profile", json={"user_id": "ann", "timezone": name})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "timezone")
    assert not world.publisher.records_by_topic


async def test_retrieve_publishes_a_trigger() -> None:
    world = World()
    async with world.http() as http:
        answer = await http.post("/retrieve", json={"user_id": "ann", "reason": "pulled"})
    [event] = world.publisher.values_of(TRIGGERS)
    assert answer.status_code == 202
    assert (event.kind, event.reason, event.user_id) == ("refresh", "pulled", "ann")


async def test_retrieve_batch_publishes_a_trigger_for_each_user_once() -> None:
    world = World()
    async with world.http() as http:
        answer = await http.post("/retrieve/batch", json={"user_ids": ["ann", "bob", "ann"], "reason": "campaign"})
    events = world.publisher.values_of(TRIGGERS)
    assert answer.status_code == 202
    assert answer.json() == {"accepted": 2, "event_ids": [event.event_id for event in events]}
    assert [(event.user_id, event.kind, event.reason) for event in events] == [
        ("ann", "refresh", "campaign"),
        ("bob", "refresh", "campaign"),
    ]


@pytest.mark.parametrize("user_ids", [[], ["u"] * 4, "ann"])
async def test_retrieve_batch_is_bounded(user_ids: Any) -> None:
    world = World()
    async with world.http(api_max_batch=3) as http:
        answer = await http.post("/retrieve/batch", json={"user_ids": user_ids})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "user_ids")
    assert not world.publisher.records_by_topic


async def test_retrieve_batch_names_who_cannot_be_and_asks_for_the_others() -> None:
    world = World()
    async with world.http() as http:
        answer = await http.post("/retrieve/batch", json={"user_ids": ["ann", "", "ann", "~me", "bob", ""]})
        none = await http.post("/retrieve/batch", json={"user_ids": ["", "~me"]})
    assert (answer.status_code, answer.json()["accepted"]) == (207, 2)
    assert [(one["index"], one["field"]) for one in answer.json()["problems"]] == [(1, "user_id"), (3, "user_id")]
    assert [event.user_id for event in world.publisher.values_of(TRIGGERS)] == ["ann", "bob"]
    assert (none.status_code, none.json()["error"]["code"]) == (422, "invalid_batch")


async def test_broker_that_is_away_is_503_with_retry_after() -> None:
    world = World()
    world.publisher.is_unavailable = True
    async with world.http() as http:
        answer = await http.post("/interaction", json=an_interaction_body())
        metrics = (await http.get("/metrics")).text
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "broker_away")
    assert int(answer.headers["Retry-After"]) > 0
    assert 'millrace_api_publish_failures_total{topic="interactions.v1"} 1.0' in metrics


async def test_broker_that_never_answers_is_503_in_time() -> None:
    world = World()
    world.publisher.silent = True
    async with world.http(api_publish_timeout_s=0.01) as http:
        answer = await http.post("/interaction", json=an_interaction_body())
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "broker_away")
