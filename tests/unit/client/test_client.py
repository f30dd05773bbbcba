"""The client against the served API, with asyncio and without."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, closing
from functools import partial
from typing import Any

import httpx2
import pytest

from millrace_client import (
    ApiConnectionError,
    AsyncMillrace,
    ForbiddenError,
    Impression,
    Interaction,
    InvalidRequestError,
    Location,
    Millrace,
    MillraceError,
    NotFoundError,
    PartialFailureError,
    Profile,
    Retry,
    ServerError,
    ShownItem,
    TooManyRequestsError,
    UnauthorizedError,
    __version__,
)
from schemas.types import Feed
from tests.build import T0_MS, a_feed, an_item
from tests.unit.api.builder import World
from tests.unit.api.security.test_auth import STRICT, a_token
from tests.unit.client.server import served
from topics.topic import IMPRESSIONS, INTERACTIONS, LOCATIONS, PROFILE_UPDATES

QUICK = Retry(max_attempts=4, initial_pause_s=0.001)
Do = Callable[..., Any]
NextFeed = Callable[[], Any]
Follow = Callable[..., AbstractAsyncContextManager[NextFeed]]


@pytest.fixture(params=["sync", "async"])
def do(request: pytest.FixtureRequest) -> Do:
    """A call of one method of a client of either kind."""

    async def asynchronous(url: str, method: str, *args: Any, **name: Any) -> Any:
        async with AsyncMillrace(url, **options(name)) as millrace:
            return await getattr(millrace, method)(*args, **name)

    async def synchronous(url: str, method: str, *args: Any, **name: Any) -> Any:
        def call() -> Any:
            with Millrace(url, **options(name)) as millrace:
                return getattr(millrace, method)(*args, **name)

        return await asyncio.to_thread(call)

    return synchronous if request.param == "sync" else asynchronous


def options(named_name: dict[str, Any]) -> dict[str, Any]:
    """Take the client's own options out of those of a call."""
    return {"retry": QUICK} | {
        name: named_name.pop(name) for name in ("retry", "token", "timeout_s") if name in named_name
    }


@pytest.fixture(params=["sync", "async"])
def follow(request: pytest.FixtureRequest) -> Follow:
    """A stream of a client of either kind: a context with a function that waits for the next feed."""

    @asynccontextmanager
    async def asynchronous(url: str, **options: Any) -> AsyncIterator[NextFeed]:
        async with AsyncMillrace(url, retry=QUICK) as millrace, aclosing(millrace.updates("ann", **options)) as updates:
            yield partial(anext, updates)

    @asynccontextmanager
    async def synchronous(url: str, **options: Any) -> AsyncIterator[NextFeed]:
        with Millrace(url, retry=QUICK) as millrace, closing(millrace.updates("ann", **options)) as updates:
            yield partial(asyncio.to_thread, next, updates)

    return synchronous if request.param == "sync" else asynchronous


def a_click(item_id: str = "i1") -> Interaction:
    return Interaction(user_id="ann", item_id=item_id, action="click", context={"screen": 2})


async def test_events_are_published_in_order_under_their_own_ids(do: Do) -> None:
    world = World()
    events = [
        *(a_click(), a_click("i2")),
        *(Location(user_id="ann", lat=38.7, lon=-9.1), Profile(user_id="ann", categories=["music"]), a_click("i3")),
        Impression(user_id="ann", items=[ShownItem(item_id="i1"), ShownItem(item_id="i2")], surface="home"),
    ]
    async with served(world) as (url, app):
        ids = await do(url, "publish", *events)
    assert ids == [event.event_id for event in events]
    assert [one.item_id for one in world.publisher.values_of(INTERACTIONS)] == ["i1", "i2", "i3"]
    assert [one.event_id for one in world.publisher.values_of(INTERACTIONS)] == [ids[0], ids[1], ids[4]]
    assert world.publisher.values_of(LOCATIONS)[0].cell
    assert world.publisher.values_of(PROFILE_UPDATES)[0].categories == ["music"]
    [impressions] = world.publisher.values_of(IMPRESSIONS)
    assert [(one.item_id, one.position) for one in impressions.items] == [("i1", 0), ("i2", 1)]
    assert app.request_count == 5


async def test_a_feed_that_was_shown_is_reported_with_its_propensities(do: Do) -> None:
    world = World()
    await world.items.write([an_item("i1"), an_item("i2"), an_item("i3")])
    await world.feeds.write([a_feed(user_id="ann", propensities=[1.0, 0.75, 0.5])])
    async with served(world) as (url, _):
        feed = await do(url, "feed", "ann")
        await do(url, "publish", feed.impression(surface="home", count=2))
    [impression] = world.publisher.values_of(IMPRESSIONS)
    assert (impression.user_id, impression.surface) == ("ann", "home")
    assert impression.request_id == feed.request_id is not None, (
        "it takes the place of the API's own log of the request"
    )
    assert [(one.item_id, one.position, one.propensity) for one in impression.items] == [
        ("i1", 0, 1.0),
        ("i2", 1, 0.75),
    ]


@pytest.mark.parametrize("fault", [429, 502, 503, 504])
async def test_what_fails_for_a_moment_is_tried_again(do: Do, fault: int) -> None:
    world = World()
    async with served(world, fault, fault) as (url, app):
        await do(url, "publish", a_click())
    assert (app.request_count, len(world.publisher.values_of(INTERACTIONS))) == (3, 1)


async def test_an_answer_that_is_lost_has_the_event_sent_again_under_its_id(do: Do) -> None:
    world = World()
    async with served(world, "lost") as (url, _):
        [event_id] = await do(url, "publish", a_click())
    assert [one.event_id for one in world.publisher.values_of(INTERACTIONS)] == [event_id, event_id]


@pytest.mark.parametrize(("fault", "kind"), [(503, ServerError), (429, TooManyRequestsError), ("lost", MillraceError)])
async def test_it_gives_up_after_so_many_attempts(do: Do, fault: int | str, kind: type[MillraceError]) -> None:
    async with served(World(), *[fault] * 9) as (url, app):
        with pytest.raises(kind):
            await do(url, "publish", a_click())
    assert app.request_count == QUICK.max_attempts


async def test_nobody_there_is_said(do: Do) -> None:
    with pytest.raises(ApiConnectionError) as failure:
        await do("http://127.0.0.1:1", "feed", "ann")
    assert failure.value.status_code is None
    assert isinstance(failure.value.__cause__, httpx2.ConnectError)


async def test_an_api_that_does_not_answer_is_waited_for_no_longer_than_asked(do: Do) -> None:
    async with served(World(), "silent") as (url, _), asyncio.timeout(5):
        with pytest.raises(ApiConnectionError) as failure:
            await do(url, "feed", "ann", timeout_s=0.05, retry=Retry(max_attempts=1))
    assert isinstance(failure.value.__cause__, httpx2.ReadTimeout)


async def test_requests_name_the_client_and_its_version(do: Do) -> None:
    async with served(World()) as (url, app):
        await do(url, "publish", a_click())
    assert app.headers["user-agent"] == f"millrace-client/{__version__}"


async def test_what_cannot_do_better_is_not_tried_again(do: Do) -> None:
    async with served(World()) as (url, app):
        with pytest.raises(InvalidRequestError) as refusal:
            await do(url, "publish", *[Interaction(user_id="ann", action="rate", item_id="i1")] * 2)
        assert (refusal.value.code, refusal.value.problems[1].index) == ("invalid_batch", 1)
        assert refusal.value.request_id
        with pytest.raises(NotFoundError, match="no_feed"):
            await do(url, "feed", "ann")
    assert app.request_count == 2


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
        with pytest.raises(PartialFailureError, match="1 of 6 events") as refusal:
            await do(url, "publish", *events)
    assert [(one.index, one.code, one.field) for one in refusal.value.problems] == [(2, "invalid_value", "value")]
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


async def test_a_feed_says_whether_it_reflects_what_was_published(do: Do) -> None:
    world = World()
    await world.feeds.write([a_feed(user_id="ann")])
    async with served(world, api_after_timeout_s=0.05) as (url, _):
        token = await do(url, "publish_interaction", Interaction(user_id="ann", item_id="i1", action="like"))
        feed = await do(url, "feed", "ann", after=token)
        assert feed.reflects_after is False
        assert (await do(url, "feed", "ann", after=token, previous=feed)).reflects_after is False
        await world.feeds.write([a_feed(user_id="ann", features_version=6, interactions_offset=0)])
        assert (await do(url, "feed", "ann", after=token)).reflects_after is True
        assert (await do(url, "feed", "ann")).reflects_after is None


async def test_a_feed_is_read_and_not_again_while_it_holds(do: Do) -> None:
    world = World()
    await world.items.write([an_item("i1", title="A concert")])
    await world.feeds.write([a_feed(user_id="ann")])
    async with served(world) as (url, _):
        feed = await do(url, "feed", "ann", limit=1)
        assert (feed.user_id, feed.fallback, len(feed.items)) == ("ann", False, 1)
        assert feed.items[0].item["title"] == "A concert"
        assert await do(url, "feed", "ann", previous=feed) is feed


async def test_updates_come_as_feeds_change_and_through_a_break(follow: Follow) -> None:
    world = World()
    await world.feeds.write([newer(0)])
    async with served(world, 503) as (url, app):
        async with follow(url) as next_feed:
            first = await next_feed()
            await world.feeds.write([newer(1)])
            second = await next_feed()
        async with follow(url, previous=second) as next_feed:
            await world.feeds.write([newer(2)])
            third = await next_feed()
    assert [feed.generated_at - T0_MS for feed in (first, second, third)] == [0, 1, 2]
    assert app.request_count == 3


async def test_a_stream_that_breaks_off_goes_on_without_a_repeat(follow: Follow) -> None:
    world = World()
    await world.feeds.write([newer(0)])
    async with served(world, "cut") as (url, app), follow(url) as next_feed:
        first = await next_feed()
        coming = asyncio.ensure_future(next_feed())
        await app.until_asked(2)
        await world.feeds.write([newer(1)])
        second = await coming
    assert app.headers["last-event-id"] == first.version
    assert [feed.generated_at - T0_MS for feed in (first, second)] == [0, 1]


async def test_a_stream_may_break_off_as_often_as_it_brings_feeds(follow: Follow) -> None:
    world, often = World(), 2 * QUICK.max_attempts
    async with served(world, *["cut"] * often) as (url, _), follow(url) as next_feed:
        for by in range(often):
            await world.feeds.write([newer(by)])
            assert (await next_feed()).generated_at == T0_MS + by


async def test_a_stream_that_the_api_keeps_refusing_ends_with_its_error(follow: Follow) -> None:
    async with served(World(), *[503] * 9) as (url, app), follow(url) as next_feed:
        with pytest.raises(ServerError, match="status 503"):
            await next_feed()
    assert app.request_count == QUICK.max_attempts


TITLES = [*(f"A{char}B" for char in "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e"), "x" * 2**21]


@pytest.mark.parametrize("title", TITLES, ids=[ascii(title[:3]) for title in TITLES])
async def test_a_title_comes_as_it_is(follow: Follow, title: str) -> None:
    """Also one that holds other line ends than those of event streams, or is larger than buffers usually are."""
    world = World()
    await world.items.write([an_item("i1", title=title)])
    await world.feeds.write([newer(0)])
    async with served(world) as (url, _), follow(url) as next_feed:
        feed = await next_feed()
    assert feed.items[0].item["title"] == title


def newer(by: int) -> Feed:
    return a_feed(user_id="ann", features_version=5 + by, generated_at=T0_MS + by)
