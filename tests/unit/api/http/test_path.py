"""Ids in paths: whatever an id may hold arrives as it is, at every endpoint, and takes no other route."""

import re
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from api.app import endpoints
from api.http.endpoint import Endpoint
from api.http.path import of_ids, with_slashes_kept
from api.security.guard import Guard
from tests.build import an_item
from tests.unit.api.builder import World, a_context
from tests.unit.api.security.test_auth import STRICT, a_token, bearer

IDS = [
    *("team/kim", "/kim", "kim/", "a//b", "..", ".", "../kim", "a/../b", "x/preferences", "x/similar", "aggregate/kim"),
    *("https://e.org/a?b=c#d", "100%", "a%2Fb", "%252F", "%", "a b", "a+b", "a;b=c", "a&b=c", "a\\b", "a:b|c", '"q"'),
    *("zoë", "🚀/🚀", "שלום", "本/雑誌", "~kim", "{user_id}", "a" * 256),
]
CONTEXT = a_context()
GUARD = Guard(CONTEXT)
DECLARED = [one for one in endpoints(CONTEXT, GUARD) if "{" in one.path]
OF_USERS = [
    one for one in DECLARED if one.scope == "user" and "{user_id}" in one.path and "/interactions/" not in one.path
]


def named(one: Endpoint) -> str:
    return f"{one.method} {one.path}"


def filled(path: str, value: str) -> str:
    """Return a path with an id in it; clients take "." and ".." for steps, unless the dots are encoded, too."""
    text = quote(value, safe="") if value.strip(".") else value.replace(".", "%2E")
    return re.sub(r"{\w+}", lambda _: text, path)


def a_request(raw: str, method: str = "GET") -> Any:
    """Return what a server makes of a request."""
    return {"type": "http", "method": method, "path": unquote(raw), "raw_path": raw.encode(), "headers": []}


def test_every_endpoint_with_an_id_is_tried() -> None:
    assert len(DECLARED) >= 18
    assert len(OF_USERS) >= 9


@pytest.mark.parametrize("user_id", IDS)
@pytest.mark.parametrize("one", OF_USERS, ids=named)
async def test_a_users_own_token_opens_what_is_at_their_id(one: Endpoint, user_id: str) -> None:
    """The guard compares the id in the path with the token's subject: another id, or another route, would show."""
    url = filled(one.path, user_id)
    async with World().http(**STRICT) as http:
        answer = await http.request(one.method, url, json=one.example, headers=bearer(a_token(user_id)))
        other = await http.request(one.method, url, json=one.example, headers=bearer(a_token("kim")))
    code = answer.json().get("error", {}).get("code")
    assert answer.status_code not in (401, 403, 405)
    assert code not in ("not_found", "internal_error")
    assert answer.status_code != 422 or user_id.startswith("~")
    assert other.status_code == 403


@pytest.mark.parametrize("value", ["a", *IDS])
def test_no_id_takes_the_route_of_another_endpoint(value: str) -> None:
    routes = GUARD.routes(endpoints(CONTEXT, GUARD))
    for one in DECLARED:
        scope = with_slashes_kept(a_request(filled(one.path, value), one.method))
        route = next(route for route in routes if route.matches(scope)[0] is Match.FULL)
        assert getattr(route, "path", "") == of_ids(one.path)
        assert list(route.matches(scope)[1]["path_params"].values()) == [value]


@given(value=st.text(st.characters(exclude_categories=("Cs",)), max_size=40))
@pytest.mark.parametrize("path", ["/results/{user_id}", "/api/v1/user-profile/{user_id}/preferences"])
def test_any_text_comes_back_from_its_path(path: str, value: str) -> None:
    async def endpoint(_: Request) -> Response:
        return Response()

    match, found_match = Route(of_ids(path), endpoint).matches(with_slashes_kept(a_request(filled(path, value))))
    assert match is Match.FULL
    assert found_match["path_params"] == {"user_id": value}


async def test_an_item_whose_id_is_an_address_is_found() -> None:
    world = World()
    await world.items.write([an_item("https://e.org/a?b=c#d/..")])
    async with world.http() as http:
        answer = await http.get(filled("/items/{item_id}", "https://e.org/a?b=c#d/.."))
    assert (answer.status_code, answer.json()["item_id"]) == (200, "https://e.org/a?b=c#d/..")


@pytest.mark.parametrize("user_id", ["a\n", "\na", "a\x00", "a\rb", "\x7f", "a" * 257, ""])
@pytest.mark.parametrize("path", ["/interaction/{id}", "/results/{id}", "/notifications/{id}", "/prompts/{id}"])
async def test_what_is_no_id_is_refused_with_the_field(path: str, user_id: str) -> None:
    async with World().http(admin_token="sesame") as http:
        answer = await http.get(filled(path, user_id), headers=bearer("sesame"))
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "user_id")


@pytest.mark.parametrize(
    ("raw", "user_id"),
    [("team/kim", "team/kim"), ("a%2fb", "a/b"), ("a%2F/b", "a//b"), ("a%25%32%46b", "a%2Fb"), ("a/../b", "a/../b")],
)
def test_slashes_are_taken_plain_and_in_any_case(raw: str, user_id: str) -> None:
    routes = GUARD.routes(endpoints(CONTEXT, GUARD))
    scope = with_slashes_kept(a_request(f"/results/{raw}"))
    route = next(route for route in routes if route.matches(scope)[0] is Match.FULL)
    assert route.matches(scope)[1]["path_params"] == {"user_id": user_id}


async def test_metrics_and_errors_of_such_paths_are_those_of_the_route() -> None:
    async with World().http() as http:
        await http.get("/results/team%2Fkim")
        await http.get("/nowhere%2Fat%2Fall")
        text = (await http.get("/metrics")).text
    assert 'route="/results/{user_id}",status="404"} 1.0' in text
    assert 'route="unmatched",status="404"} 1.0' in text
