"""What the API takes in and tells of pushes; it decides nothing."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from infra.fakes.memory_publisher import MemoryPublisher
from infra.redis.stores.push_store import MemoryPushStore
from schemas.types import Device, Devices, PushPreferences, PushRequest, QuietHours
from tests.build import a_notification
from tests.unit.api.builder import NOW_MS, World
from topics.topic import PUSH_REQUESTS

NIGHT = {"start": "22:00", "end": "08:00", "timezone": "Europe/Lisbon"}


def a_registration(**overrides: Any) -> dict[str, Any]:
    return {"user_id": "ann", "token": "secret-token", "platform": "ios"} | overrides


def quiet(**overrides: Any) -> dict[str, Any]:
    return a_registration(preferences={"quiet_hours": NIGHT | overrides})


async def posted(path: str, body: dict[str, Any], method: str = "POST") -> tuple[int, Any, list[PushRequest]]:
    """Send a body and return the status, the answer and what was published."""
    publisher = MemoryPublisher()
    async with World(publisher).http() as http:
        answer = await http.request(method, path, json=body)
    return answer.status_code, answer.json(), publisher.values_of(PUSH_REQUESTS)


async def test_a_device_is_registered_with_its_preferences() -> None:
    preferences = {"categories": ["jazz"], "quiet_hours": NIGHT, "value_threshold": 1.5}
    status, answer, [request] = await posted("/push/register", a_registration(preferences=preferences))
    assert (status, answer) == (202, {"event_id": request.event_id})
    assert (request.kind, request.user_id, request.token, request.platform) == (
        *("register", "ann"),
        *("secret-token", "ios"),
    )
    assert request.preferences == PushPreferences(
        categories=["jazz"], quiet_hours=QuietHours(**NIGHT), value_threshold=1.5
    )
    assert request.occurred_at == NOW_MS


async def test_a_registration_without_preferences_leaves_them_as_they_are() -> None:
    _, _, [request] = await posted("/push/register", a_registration(event_id="mine"))
    assert (request.preferences, request.event_id) == (None, "mine")


async def test_a_device_is_taken_off() -> None:
    status, _, [request] = await posted("/push/unregister", {"user_id": "ann", "token": "secret-token"})
    assert (status, request.kind, request.token) == (202, "unregister", "secret-token")


async def test_preferences_are_replaced() -> None:
    status, _, [request] = await posted("/push/preferences/ann", {"categories": []}, "PUT")
    assert (status, request.kind, request.user_id) == (202, "preferences", "ann")
    assert request.preferences == PushPreferences(categories=[])


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"categories": ["jazz"]}, ["categories"]),
        ({"quiet_hours": None}, ["quiet_hours"]),
        ({"quiet_hours": NIGHT, "value_threshold": 2}, ["quiet_hours", "value_threshold"]),
    ],
)
async def test_only_the_preferences_that_are_sent_are_changed(body: dict[str, Any], fields: list[str]) -> None:
    status, _, [request] = await posted("/push/preferences/ann", body, "PATCH")
    assert (status, request.kind, request.fields) == (202, "preferences", fields)


async def test_no_preferences_at_all_are_no_change() -> None:
    status, answer, requests = await posted("/push/preferences/ann", {}, "PATCH")
    assert (status, answer["error"]["code"], requests) == (422, "invalid_value", [])


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_push_preferences_that_were_changed_meanwhile_are_not_overwritten(method: str) -> None:
    pushes, path = MemoryPushStore(), "/push/preferences/ann"
    devices = Devices(user_id="ann", devices=[], preferences=PushPreferences(), changed_at=1)
    await pushes.write_devices([devices])
    async with World(clients={"push_store": pushes}).http() as http:
        tag = (await http.get(path)).headers["etag"]
        await pushes.write_devices([replace(devices, changed_at=2)])
        answer = await http.request(method, path, json={"categories": ["jazz"]}, headers={"If-Match": tag})
        await pushes.write_devices([replace(devices, preferences=PushPreferences(categories=["film"]))])
        stale = await http.request(method, path, json={"categories": ["jazz"]}, headers={"If-Match": tag})
    assert (answer.status_code, stale.status_code) == (202, 412)


@pytest.mark.parametrize("path", ["/push/send", "/notifications/send"])
async def test_a_notification_is_asked_for(path: str) -> None:
    body = {"user_id": "ann", "title": "Doors open", "body": "At nine.", "category": "music"}
    status, answer, [request] = await posted(path, body)
    assert (status, answer) == (202, {"event_id": request.event_id})
    assert (request.kind, request.user_id, request.title, request.body, request.category, request.item_id) == (
        *("send", "ann", "Doors open"),
        *("At nine.", "music", None),
    )


async def test_a_batch_asks_for_the_same_to_everyone() -> None:
    status, answer, requests = await posted("/push/batch", {"user_ids": ["ann", "bob"], "item_id": "i1"})
    assert (status, answer["accepted"]) == (202, 2)
    assert answer["event_ids"] == [request.event_id for request in requests]
    assert [(request.user_id, request.item_id) for request in requests] == [("ann", "i1"), ("bob", "i1")]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/push/register", a_registration(platform="pager"), "platform"),
        ("/push/register", a_registration(token=""), "token"),
        ("/push/register", a_registration(token="x" * 5_000), "token"),
        ("/push/register", a_registration(user_id="~everyone"), "user_id"),
        ("/push/register", a_registration(preferences={"value_threshold": -1}), "preferences.value_threshold"),
        ("/push/register", a_registration(preferences={"categories": [""]}), "preferences.categories"),
        ("/push/register", quiet(start="24:00"), "preferences.quiet_hours.start"),
        ("/push/register", quiet(start="9:00"), "preferences.quiet_hours.start"),
        ("/push/register", quiet(end="noon"), "preferences.quiet_hours.end"),
        ("/push/register", quiet(end="22:00"), "preferences.quiet_hours.end"),
        ("/push/register", quiet(end=None), "preferences.quiet_hours.end"),
        ("/push/register", quiet(timezone="Mars/Olympus"), "preferences.quiet_hours.timezone"),
        ("/push/register", quiet(timezone="../../etc/passwd"), "preferences.quiet_hours.timezone"),
        ("/push/register", quiet(timezone="localtime"), "preferences.quiet_hours.timezone"),
        ("/push/unregister", {"user_id": "ann"}, "token"),
        ("/push/send", {"user_id": "ann", "body": "no title, no item"}, "title"),
        ("/push/send", {"user_id": "ann", "title": "x" * 1_025}, "title"),
        ("/push/batch", {"user_ids": [], "title": "Hello"}, "user_ids"),
        ("/push/batch", {"user_ids": ["u"] * 1_001, "title": "Hello"}, "user_ids"),
    ],
)
async def test_what_cannot_be_used_is_refused_by_its_field_and_nothing_is_published(
    path: str, body: dict[str, Any], field: str
) -> None:
    status, answer, requests = await posted(path, body)
    assert (status, answer["error"]["field"], requests) == (422, field, [])


async def test_preferences_are_shown_and_tokens_are_not() -> None:
    pushes = MemoryPushStore()
    device = Device(token="secret-token", platform="ios", registered_at=NOW_MS - 5)
    preferences = PushPreferences(quiet_hours=QuietHours(**NIGHT))
    await pushes.write_devices(
        [Devices(user_id="ann", devices=[device], preferences=preferences, changed_at=NOW_MS - 1)]
    )
    async with World(clients={"push_store": pushes}).http() as http:
        answer = await http.get("/push/preferences/ann")
    assert answer.json() == {
        "user_id": "ann",
        "preferences": {"categories": None, "quiet_hours": NIGHT, "value_threshold": None},
        "devices": [{"platform": "ios", "registered_at": NOW_MS - 5}],
        "changed_at": NOW_MS - 1,
    }
    assert "secret-token" not in answer.text


async def test_preferences_of_an_unknown_user_are_404() -> None:
    async with World().http() as http:
        answer = await http.get("/push/preferences/nobody")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_registered")


async def test_decisions_are_listed_newest_first_with_their_reasons() -> None:
    pushes = MemoryPushStore()
    await pushes.add_notifications(
        [
            a_notification(user_id="ann", status=status, reason=f"why {n}", decided_at=n)
            for n, status in enumerate(("quiet_hours", "sent", "capped"))
        ]
    )
    async with World(clients={"push_store": pushes}).http() as http:
        answer = await http.get("/notifications/ann", params={"limit": 2})
        assert (await http.get("/notifications/ann", params={"limit": 0})).status_code == 422
        nobody = await http.get("/notifications/nobody")
    notifications = answer.json()["notifications"]
    assert [(notification["status"], notification["reason"]) for notification in notifications] == [
        ("capped", "why 2"),
        ("sent", "why 1"),
    ]
    assert nobody.json() == {"user_id": "nobody", "notifications": []}


async def test_a_batch_names_who_cannot_be_reached_so_and_asks_for_the_others() -> None:
    status, answer, requests = await posted("/push/batch", {"user_ids": ["ann", "", "bob", "~me"], "title": "Hello"})
    assert (status, answer["accepted"], [one.user_id for one in requests]) == (207, 2, ["ann", "bob"])
    assert [(one["index"], one["code"], one["field"]) for one in answer["problems"]] == [
        (1, "invalid_value", "user_id"),
        (3, "invalid_value", "user_id"),
    ]
    status, answer, requests = await posted("/push/batch", {"user_ids": ["ann", "bob"]})
    assert (status, answer["error"]["code"], requests) == (422, "invalid_batch", [])
    assert {one["field"] for one in answer["error"]["problems"]} == {"title"}
