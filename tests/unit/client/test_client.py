"""The client kit against the served API: both kinds of client do the same."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.app import create_app
from api.context import Clients
from client import (
    AsyncMillrace,
    AwayError,
    ForbiddenError,
    Interaction,
    InvalidError,
    Location,
    Millrace,
    NotFoundError,
    PartlyInvalidError,
    Profile,
    Retry,
    TooManyRequestsError,
    UnauthorizedError,
    UnreachableError,
)
from client.error import MillraceError, error_of
from client.event import BATCH, bodies
from infra.fakes.serve import serve_app
from infra.settings import Settings
from schemas.types import Feed
from tests.build import T0_MS, a_feed, an_item
from tests.unit.api.builder import World
from tests.unit.api.security.test_auth import STRICT, a_token
from topics.topic import INTERACTIONS, LOCATIONS, PROFILE_UPDATES

QUICK = Retry(attempts=4, first_s=0.001)
Do = Callable[..., Any]


class Failing:
    """An app that fails at first, once for each fault: a status, or `lost` for an answer that breaks off."""

    def __init__(self, app: ASGIApp, faults: list[int | str]) -> None:
        self._app, self._faults = app, faults
        self.asked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        fault = self._faults.pop(0) if self._faults else None
        if isinstance(fault, int):
            headers = [(b"retry-after", b"0")] if fault in (429, 503) else []
            await send({"type": "http.response.start", "status": fault, "headers": headers})
            await send({"type": "http.response.body", "body": b"<html>a proxy's</html>"})
            return

        async def broken(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [(b"content-length", b"999")]
            await send(message)

        await self._app(scope, receive, send if fault is None else broken)


@asynccontextmanager
async def served(world: World, *faults: int | str, **settings: Any) -> AsyncIterator[tuple[str, Failing]]:
    clients = Clients(publisher=world.publisher, feeds=world.feeds, items=world.items)
    app = Failing(create_app(replace(Settings(), **settings), clients), list(faults))
    async with serve_app(app) as url:
        yield url, app


@pytest.fixture(params=["now", "later"])
def do(request: pytest.FixtureRequest) -> Do:
    """A call of one method of a client of either kind."""

    async def later(url: str, method: str, *args: Any, retry: Retry = QUICK, token: str = "", **named: Any) -> Any:
        async with AsyncMillrace(url, retry=retry, token=token or None) as millrace:
            return await getattr(millrace, method)(*args, **named)

    async def now(url: str, method: str, *args: Any, retry: Retry = QUICK, token: str = "", **named: Any) -> Any:
        def call() -> Any:
            with Millrace(url, retry=retry, token=token or None) as millrace:
                return getattr(millrace, method)(*args, **named)

        return await asyncio.to_thread(call)

    return now if request.param == "now" else later


def a_click(item_id: str = "i1") -> Interaction:
    return Interaction(user_id="ann", item_id=item_id, action="click", context={"screen": 2})


async def test_events_are_published_in_order_under_their_own_ids(do: Do) -> None:
    world = World()
    events = [
        *(a_click(), a_click("i2")),
        *(Location(user_id="ann", lat=38.7, lon=-9.1), Profile(user_id="ann", categories=["music"]), a_click("i3")),
    ]
    async with served(world) as (url, app):
        ids = await do(url, "publish", *events)
    assert ids == [event.event_id for event in events]
    assert [one.item_id for one in world.publisher.values_of(INTERACTIONS)] == ["i1", "i2", "i3"]
    assert [one.event_id for one in world.publisher.values_of(INTERACTIONS)] == [ids[0], ids[1], ids[4]]
    assert world.publisher.values_of(LOCATIONS)[0].cell
    assert world.publisher.values_of(PROFILE_UPDATES)[0].categories == ["music"]
    assert app.asked == 4


def test_many_interactions_go_in_batches_the_api_takes() -> None:
    found = [path for path, _ in bodies(a_click() for _ in range(2 * BATCH + 1))]
    assert found == ["/interaction/batch", "/interaction/batch", "/interaction"]


def test_an_event_keeps_its_id_and_hides_where_somebody_is() -> None:
    one, other = a_click(), a_click()
    assert one.event_id != other.event_id
    assert abs(one.occurred_at - other.occurred_at) < 60_000
    assert "38.7" not in repr(Location(user_id="ann", lat=38.7, lon=-9.1))


@pytest.mark.parametrize("fault", [429, 502, 503, 504])
async def test_what_fails_for_a_moment_is_tried_again(do: Do, fault: int) -> None:
    world = World()
    async with served(world, fault, fault) as (url, app):
        await do(url, "publish", a_click())
    assert (app.asked, len(world.publisher.values_of(INTERACTIONS))) == (3, 1)


async def test_an_answer_that_is_lost_has_the_event_sent_again_under_its_id(do: Do) -> None:
    world = World()
    async with served(world, "lost") as (url, _):
        [event_id] = await do(url, "publish", a_click())
    assert [one.event_id for one in world.publisher.values_of(INTERACTIONS)] == [event_id, event_id]


@pytest.mark.parametrize(("fault", "kind"), [(503, AwayError), (429, TooManyRequestsError), ("lost", MillraceError)])
async def test_it_gives_up_after_so_many_attempts(do: Do, fault: int | str, kind: type[MillraceError]) -> None:
    async with served(World(), *[fault] * 9) as (url, app):
        with pytest.raises(kind):
            await do(url, "publish", a_click())
    assert app.asked == QUICK.attempts


async def test_nobody_there_is_said(do: Do) -> None:
    with pytest.raises(UnreachableError):
        await do("http://127.0.0.1:1", "feed", "ann")


async def test_what_cannot_do_better_is_not_tried_again(do: Do) -> None:
    async with served(World()) as (url, app):
        with pytest.raises(InvalidError) as refusal:
            await do(url, "publish", *[Interaction(user_id="ann", action="rate", item_id="i1")] * 2)
        assert (refusal.value.code, refusal.value.problems[1]["index"]) == ("invalid_batch", 1)
        assert refusal.value.request_id
        with pytest.raises(NotFoundError, match="no_feed"):
            await do(url, "feed", "ann")
    assert app.asked == 2


async def test_what_a_batch_cannot_use_is_named_once_the_rest_is_published(do: Do) -> None:
    world = World()
    bad = Interaction(user_id="ann", action="rate", item_id="i1")
    events = [
        a_click(),
        Profile(user_id="ann"),
        bad,
        a_click("i2"),
        Location(user_id="ann", lat=0, lon=0),
        a_click("i3"),
    ]
    async with served(world) as (url, _):
        with pytest.raises(PartlyInvalidError, match="1 of 6 events") as refusal:
            await do(url, "publish", *events)
    assert [(one["index"], one["code"], one["field"]) for one in refusal.value.problems] == [
        (2, "invalid_value", "value")
    ]
    assert [one.item_id for one in world.publisher.values_of(INTERACTIONS)] == ["i1", "i2", "i3"]
    assert len(world.publisher.values_of(LOCATIONS)) == 1


async def test_tokens_are_shown(do: Do) -> None:
    world = World()
    await world.feeds.write([a_feed(user_id="ann")])
    async with served(world, **STRICT) as (url, _):
        assert (await do(url, "feed", "ann", token=a_token())).user_id == "ann"
        with pytest.raises(UnauthorizedError):
            await do(url, "feed", "ann")
        with pytest.raises(ForbiddenError):
            await do(url, "feed", "bob", token=a_token())


async def test_a_feed_is_read_and_not_again_while_it_holds(do: Do) -> None:
    world = World()
    await world.items.write([an_item("i1", title="A concert")])
    await world.feeds.write([a_feed(user_id="ann")])
    async with served(world) as (url, _):
        feed = await do(url, "feed", "ann", limit=1)
        assert (feed.user_id, feed.fallback, len(feed.items)) == ("ann", False, 1)
        assert feed.items[0].item["title"] == "A concert"
        assert await do(url, "feed", "ann", previous=feed) is feed


async def test_updates_come_as_feeds_change_and_through_a_break() -> None:
    world = World()
    await world.feeds.write([newer(0)])
    async with served(world, 503) as (url, app), AsyncMillrace(url, retry=QUICK) as millrace:
        updates = millrace.updates("ann")
        first = await anext(updates)
        await world.feeds.write([newer(1)])
        second = await anext(updates)
        await updates.aclose()
        again = millrace.updates("ann", previous=second)
        await world.feeds.write([newer(2)])
        third = await anext(again)
        await again.aclose()
    assert [feed.generated_at - T0_MS for feed in (first, second, third)] == [0, 1, 2]
    assert app.asked == 3


async def test_updates_come_to_who_waits_as_well() -> None:
    world = World()
    await world.feeds.write([newer(0)])

    def follow(url: str) -> int:
        with Millrace(url, retry=QUICK) as millrace:
            updates = millrace.updates("ann")
            found = next(updates).generated_at
            updates.close()
            return found

    async with served(world, 503) as (url, _):
        assert await asyncio.to_thread(follow, url) == T0_MS


def newer(by: int) -> Feed:
    return a_feed(user_id="ann", features_version=5 + by, generated_at=T0_MS + by)


@pytest.mark.parametrize(
    ("retry_after", "paused"), [("3", 3.0), ("", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None)]
)
def test_pauses_are_those_asked_for_or_grow(retry_after: str, paused: float | None) -> None:
    error = error_of(503, {"retry-after": retry_after}, b"")
    pauses = [Retry(first_s=1.0, longest_s=3.0).pause_s(attempt, error) for attempt in (1, 2, 3, 4)]
    if paused is not None:
        assert pauses == [paused] * 4
    assert all(low / 2 <= pause <= 3.0 for low, pause in zip((1, 2, 3, 3), pauses, strict=True))


def test_a_wait_beyond_the_limit_fails_at_once() -> None:
    error = error_of(429, {"retry-after": "60"}, b'{"error": {"code": "too_many_requests"}}')
    with pytest.raises(TooManyRequestsError, match="too_many_requests") as refusal:
        Retry().pause_s(1, error)
    assert refusal.value.retry_after_s == 60.0


LINE_SEPARATORS = "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e"


@pytest.mark.parametrize("char", LINE_SEPARATORS)
async def test_what_looks_like_a_line_end_inside_a_title_ends_no_line(char: str) -> None:
    world = World()
    await world.items.write([an_item("i1", title=f"A{char}B")])
    await world.feeds.write([newer(0)])

    def follow(url: str) -> Any:
        with Millrace(url, retry=QUICK) as millrace:
            updates = millrace.updates("ann")
            found = next(updates)
            updates.close()
            return found

    async with served(world) as (url, _):
        now = await asyncio.to_thread(follow, url)
        async with AsyncMillrace(url, retry=QUICK) as millrace:
            updates = millrace.updates("ann")
            later = await anext(updates)
            await updates.aclose()
    for feed in (now, later):
        assert feed.items[0].item["title"] == f"A{char}B"
