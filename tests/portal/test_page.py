import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jwt
import msgspec
import pytest
import uvicorn
from msgspec.structs import replace

import portal
from api.app import create_app
from api.context import Clients
from infra import clock
from infra.redis.stores.feed_store import DEFAULT_FEED, MemoryFeedStore
from infra.redis.stores.item_store import MemoryItemStore
from infra.redis.stores.push_store import MemoryPushStore
from infra.redis.stores.user_profile_store import MemoryUserProfileStore
from infra.settings import Settings
from schemas.types import Devices, Feed, Profile, ProfileUpdate, PushPreferences, PushRequest
from tests.build import a_notification, a_profile, an_item
from tests.portal.browser import CHROMIUM, Browser, browser
from topics import Topic

ITEMS = [f"i{number}" for number in range(1, 31)]
NASTY = '<img src=x onerror="document.title=1">'
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")


class Pipeline:
    """Answers every interaction as the workers would: its item leaves, and what lay last comes first."""

    def __init__(self) -> None:
        self.feeds = MemoryFeedStore()
        self.pushes = MemoryPushStore()
        self.portraits = MemoryUserProfileStore()
        self.ranked: dict[str, list[str]] = {}
        self.published: list[Any] = []

    async def publish(self, topic: Topic, values: Sequence[msgspec.Struct]) -> None:
        for value in values if topic.name != "audits.v1" else ():
            self.published.append(value)
            if isinstance(value, ProfileUpdate):
                await self.portraits.write_stated([await self._merged(value)])
            if isinstance(value, PushRequest):
                await self.pushes.write_devices([await self._preferring(value)])
            if topic.name != "interactions.v1" or value.item_id is None:
                continue
            rest = [item for item in self.ranked.get(value.user_id, ITEMS) if item != value.item_id]
            await self.rank(value.user_id, [rest[-1], *rest[:-1]])

    async def _merged(self, update: ProfileUpdate) -> Profile:
        _, profile = await self.portraits.read(update.user_id)
        stated = {name: getattr(update, name) for name in update.fields}
        return replace(profile or a_profile(user_id=update.user_id), **stated)

    async def _preferring(self, request: PushRequest) -> Devices:
        devices = await self.pushes.read_devices(request.user_id)
        stated = {name: getattr(request.preferences, name) for name in request.fields}
        preferences = replace(devices.preferences if devices else PushPreferences(), **stated)
        return Devices(user_id=request.user_id, devices=[], preferences=preferences, changed_at=clock.now_ms())

    async def rank(self, user_id: str, items: list[str]) -> None:
        self.ranked[user_id] = items
        now_ms = clock.now_ms()
        scores = [1.0 - place / 100 for place in range(len(items))]
        feed = Feed(
            user_id=user_id,
            features_version=now_ms + len(self.published),
            generated_at=now_ms,
            watermark=now_ms,
            model="blend-1",
            items=items,
            scores=scores,
            sources=["trending"] * len(items),
            reasons=["Trending now"] * len(items),
            parts={"trending": [score / 2 for score in scores], "affinity": [score / 2 for score in scores]},
        )
        await self.feeds.write([feed])


@asynccontextmanager
async def serving(pipeline: Pipeline, port: int = 0, *, settings: Settings | None = None) -> AsyncIterator[str]:
    items = MemoryItemStore()
    await items.write([an_item(item_id, description="A concert.") for item_id in [*ITEMS, "elsewhere"]])
    await items.write([an_item("i2", title=NASTY, description=NASTY)])
    await items.write([an_item("broken", title="A\u2028B\x85C")])
    await items.write([an_item("i7", category="movies", topics=["comedy"], image_url="/portal/icon.svg")])

    async def people() -> bytes:
        return msgspec.json.encode([portal.DemoUser("ann", "jazz"), portal.DemoUser("bob")])

    app = create_app(
        settings or Settings(),
        Clients(
            publisher=pipeline,
            feeds=pipeline.feeds,
            items=items,
            push_store=pipeline.pushes,
            user_profiles=pipeline.portraits,
        ),
        more_routes=portal.routes(people, ["Claude"]),
    )
    listener = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def pipeline() -> Pipeline:
    pipeline = Pipeline()
    for user_id in ("ann", "bob", DEFAULT_FEED):
        await pipeline.rank(user_id, ITEMS)
    return pipeline


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as found_page:
        yield found_page


@pytest.fixture
async def page(pipeline: Pipeline, chromium: Browser) -> AsyncIterator[Browser]:
    async with serving(pipeline) as url:
        await chromium.open(f"{url}/#user=ann")
        await chromium.until("document.querySelectorAll('.card .open').length === 30")
        yield chromium


def order(selector: str = ".feed .card") -> str:
    return f"[...document.querySelectorAll('{selector}')].map(card => card.dataset.item)"


async def test_the_page_is_served_whole_and_lets_no_foreign_code_in(pipeline: Pipeline) -> None:
    async with serving(pipeline) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        page = await client.get("/")
        for view in ("/c/music", "/item/a%2Fb", "/find", "/you", "/operations"):
            assert (await client.get(view)).content == page.content
        assert "default-src 'none'; script-src 'self'" in page.headers["content-security-policy"]
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", page.text), "inline code"
        parts = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
        for part in list(parts):
            answer = await client.get(part)
            assert answer.status_code == 200, part
            parts += [f"/portal/{name}" for name in re.findall(r'from "\./([\w.]+)"', answer.text)]
        for part in set(parts):
            assert (await client.get(part)).status_code == 200, part


@needs_browser
async def test_a_feed_is_shown_with_scores_and_reasons(page: Browser) -> None:
    assert await page.js(order()) == ITEMS
    first = "document.querySelector('.card')"
    assert await page.js(f"{first}.querySelector('.score-value').textContent") == "1.000"
    assert await page.js(f"{first}.querySelector('.reason').textContent") == "trendingTrending now"
    assert await page.js(f"{first}.querySelectorAll('.bar-part').length") == 2
    assert await page.until("document.getElementById('connection').dataset.state === 'live'")
    assert "Simulated here: Claude." in await page.until("document.getElementById('simulated').textContent")
    assert re.fullmatch(r"just now|\d+ s ago", await page.js("document.getElementById('age').textContent"))
    assert page.complaints == []


@needs_browser
async def test_a_click_changes_the_feed_in_place(page: Browser, pipeline: Pipeline) -> None:
    await page.js("document.querySelector('[data-item=i3] .open').click()")
    await page.until("!document.querySelector('.feed [data-item=i3]')")
    await page.until(f"({order()})[0] === 'i30'")
    assert await page.js(order()) == ["i30", "i1", "i2", *ITEMS[3:29]]
    assert await page.js(order(".feed .card.up")) == ["i30"]
    assert await page.js("document.querySelector('[data-item=i30] .move').textContent") == "▲ 29"
    assert re.fullmatch(r"feed changed after \d+ ms", await page.js("document.querySelector('.took').textContent"))
    (event,) = pipeline.published
    assert (event.user_id, event.item_id, event.action) == ("ann", "i3", "click")
    assert event.event_id[14] == "7", "a UUIDv7"


@needs_browser
async def test_an_update_keeps_the_readers_place_and_focus(page: Browser, pipeline: Pipeline) -> None:
    card = "document.querySelector('[data-item=i12]')"
    await page.js(f"{card}.scrollIntoView({{behavior: 'instant'}}); scrollBy(0, -100)")
    await page.js(f"{card}.querySelector('.save').focus({{preventScroll: true}})")
    top = await page.js(f"{card}.getBoundingClientRect().top")
    await pipeline.rank("ann", ["i30", "i29", *ITEMS[:28]])
    await page.until("document.querySelector('.card').dataset.item === 'i30'")
    assert abs(await page.js(f"{card}.getBoundingClientRect().top") - top) <= 2
    assert await page.js("document.activeElement.closest('.card').dataset.item") == "i12"


@needs_browser
async def test_keys_step_through_the_feed_and_act(page: Browser, pipeline: Pipeline) -> None:
    await page.js("document.querySelector('.open').focus()")
    await page.key("j")
    assert await page.js("document.activeElement.closest('.card').dataset.item") == "i2"
    await page.key("l")
    await page.until("!document.querySelector('[data-item=i2]')")
    assert [(event.item_id, event.action) for event in pipeline.published] == [("i2", "like")]
    assert await page.js("document.activeElement.closest('.card').dataset.item") == "i3", "the focus goes to the next"


@needs_browser
async def test_hidden_items_disappear_at_once_and_shares_are_published(page: Browser, pipeline: Pipeline) -> None:
    await page.js("document.querySelector('[data-item=i4] .hide').click()")
    await page.until("!document.querySelector('.feed [data-item=i4]')")
    await page.js("document.querySelector('[data-item=i5] .share').click()")
    await page.until("!document.querySelector('.feed [data-item=i5]')")
    await page.js("document.querySelector('[data-item=i6] .save').click()")
    await page.until("!document.querySelector('.feed [data-item=i6]')")
    assert [(event.item_id, event.action) for event in pipeline.published] == [
        *(("i4", "hide"), ("i5", "share"), ("i6", "save"))
    ]


@needs_browser
async def test_a_category_has_an_address_and_a_mood_narrows_the_feed(pipeline: Pipeline, chromium: Browser) -> None:
    shown_order = order(".feed .card:not([hidden])")
    async with serving(pipeline) as url:
        await chromium.open(f"{url}/c/movies#user=ann")
        await chromium.until(f"({shown_order}).length === 1")
        assert await chromium.js(shown_order) == ["i7"]
        assert await chromium.until("document.querySelector('[data-item=i7] .art img.loaded')?.alt === ''")
        await pipeline.rank("ann", ITEMS[::-1])
        await chromium.until(f"({order()})[0] === 'i30'")
        assert await chromium.js(shown_order) == ["i7"], "an update leaves the view as it is"
        await chromium.js("document.querySelector('.filter').click()")
        await chromium.until(f"({shown_order}).length === 30")
        assert await chromium.js("location.pathname") == "/"
        await chromium.until("document.getElementById('mood').options.length > 5")
        await chromium.js(
            "(mood => { mood.value = 'happy'; mood.dispatchEvent(new Event('change')) })"
            "(document.getElementById('mood'))"
        )
        assert await chromium.js(shown_order) == ["i7"], "a comedy"
        await chromium.js("history.back()")
        await chromium.until("document.querySelector('.filter[aria-current]').textContent === 'movies'")
        assert chromium.complaints == []


@needs_browser
async def test_an_item_has_an_address_that_opens_it_beside_the_feed(pipeline: Pipeline, chromium: Browser) -> None:
    async with serving(pipeline) as url:
        await chromium.open(f"{url}/item/i7#user=ann")
        await chromium.until("document.querySelector('.sheet[open] .title')?.textContent === 'Title of i7'")
        assert await chromium.js("document.querySelectorAll('.sheet .part').length") == 2, "why it is there"
        await chromium.js("document.querySelector('.sheet .like').click()")
        await chromium.until("!document.querySelector('.feed [data-item=i7]')")
        assert [(event.item_id, event.action) for event in pipeline.published] == [("i7", "like")]
        await chromium.js("document.querySelector('.sheet-close').click()")
        await chromium.until("location.pathname === '/'")
        assert await chromium.js("!document.querySelector('.sheet').open && location.hash === '#user=ann'")


@needs_browser
async def test_an_item_that_is_in_no_feed_is_shown_as_the_catalogue_has_it(
    pipeline: Pipeline, chromium: Browser
) -> None:
    async with serving(pipeline) as url:
        await chromium.open(f"{url}/item/elsewhere#user=ann")
        await chromium.until("document.querySelector('.sheet[open] .title')?.textContent === 'Title of elsewhere'")
        await chromium.open(f"{url}/item/nowhere#user=ann")
        await chromium.until("document.querySelector('.sheet[open] .state')?.textContent === 'There is no such item.'")


@needs_browser
async def test_a_person_says_who_they_are_and_when_not_to_be_disturbed(page: Browser, pipeline: Pipeline) -> None:
    await page.js("document.querySelector('[data-view=you]').click()")
    await page.until("document.getElementById('inferred-note').textContent === 'No events yet'")
    await page.until("document.querySelectorAll('#view-you .all:enabled').length === 2")
    await page.js(
        "(form => { form.elements.topics.value = 'jazz, coffee'; form.requestSubmit() })"
        "(document.getElementById('profile'))"
    )
    await page.until("document.querySelector('.toast.shown')?.textContent === 'Saved. The feed is ranked again.'")
    await page.js(
        "(form => { form.elements.quiet.click(); form.elements.zone.value = 'Europe/Lisbon'; form.requestSubmit() })"
        "(document.getElementById('push'))"
    )
    await page.until("document.querySelector('.toast.shown')?.textContent === 'Saved.'")
    profile, request = pipeline.published
    assert (profile.user_id, profile.fields, profile.topics) == ("ann", ["topics"], ["jazz", "coffee"])
    assert (request.user_id, request.fields, request.preferences.quiet_hours.timezone) == (
        *("ann", ["quiet_hours"]),
        "Europe/Lisbon",
    )


READS = {"profile": "/api/v1/user-profile/ann/preferences", "push": "/push/preferences/ann"}
STATED = {"topics": ["electronic"], "timezone": "Asia/Tokyo", "locale": "ja-JP", "city": "Tokyo", "segment": "x"}
SAVED = "document.querySelector('.toast.shown')?.textContent.startsWith('Saved')"


def submit(form: str, **values: str) -> str:
    """Return what fills in a form and sends it."""
    return (
        f"((form, values) => {{ for (const name in values) form.elements[name].value = values[name];"
        f" form.requestSubmit(); }})(document.getElementById('{form}'), {values})"
    )


@needs_browser
@pytest.mark.parametrize("form", ["profile", "push"])
@pytest.mark.parametrize("fault", ["offline", "500", "503", "429", "cut", "html"])
async def test_a_form_that_could_not_be_read_cannot_be_saved(
    pipeline: Pipeline, chromium: Browser, form: str, fault: str
) -> None:
    await pipeline.portraits.write_stated([a_profile(user_id="ann", **STATED)])
    async with serving(pipeline) as url:
        await chromium.open(f"{url}/#user=ann")
        await chromium.until("document.querySelectorAll('.card .open').length === 30")
        await chromium.fail(f"**{READS[form]}", fault)
        await chromium.js("document.querySelector('[data-view=you]').click()")
        await chromium.until(f"!document.querySelector('#{form} .problem').hidden")
        text = await chromium.js(f"document.querySelector('#{form} .problem').textContent")
        assert text.startswith("This could not be read, so it cannot be changed.")
        assert await chromium.js(f"document.querySelector('#{form} .all').disabled")
        await chromium.js(submit(form))
        await chromium.js("new Promise(resolve => setTimeout(resolve))")
        assert pipeline.published == []
        await chromium.fail(f"**{READS[form]}", None)
        await chromium.js(f"document.querySelector('#{form} .problem button').click()")
        await chromium.until(f"!document.querySelector('#{form} .all').disabled")
        assert await chromium.js(f"document.querySelector('#{form} .problem').hidden")
        assert await chromium.js("document.getElementById('profile').elements.topics.value") == "electronic"


@needs_browser
async def test_saving_sends_what_was_changed_and_nothing_else(page: Browser, pipeline: Pipeline) -> None:
    await pipeline.portraits.write_stated([a_profile(user_id="ann", **STATED, categories=["Maison, Jardin"])])
    preferences = PushPreferences(categories=["music"], value_threshold=3.0)
    await pipeline.pushes.write_devices(
        [Devices(user_id="ann", devices=[], preferences=preferences, changed_at=clock.now_ms())]
    )
    await page.js("document.querySelector('[data-view=you]').click()")
    await page.until("document.querySelectorAll('#view-you .all:enabled').length === 2")
    await page.js(submit("profile"))
    await page.until("document.querySelector('.toast.shown')?.textContent === 'Nothing has changed.'")
    for city, form, values in (("Porto", "profile", {"city": "Porto"}), ("Faro", "profile", {"city": "Faro"})):
        await page.js(submit(form, **values))
        await page.until(f"{SAVED} && !document.querySelector('#profile .all').disabled")
        _, profile = await pipeline.portraits.read("ann")
        assert profile == a_profile(
            user_id="ann", event_id=profile.event_id, **(STATED | {"city": city}), categories=["Maison, Jardin"]
        )
    await page.js(submit("push", kinds="jazz, film"))
    await page.until("document.querySelector('.toast.shown')?.textContent === 'Saved.'")
    assert [event.fields for event in pipeline.published] == [["city"], ["city"], ["categories"]]
    reached = await pipeline.pushes.read_devices("ann")
    assert reached.preferences == replace(preferences, categories=["jazz", "film"])


@needs_browser
async def test_changes_made_elsewhere_are_reported_and_not_overwritten(page: Browser, pipeline: Pipeline) -> None:
    await pipeline.portraits.write_stated([a_profile(user_id="ann", city="Tokyo", topics=["jazz"])])
    await page.js("document.querySelector('[data-view=you]').click()")
    await page.until("document.querySelectorAll('#view-you .all:enabled').length === 2")
    await pipeline.portraits.write_stated([a_profile(user_id="ann", city="Osaka", topics=["film"])])
    await page.js(submit("profile", city="Kyoto"))
    await page.until("document.querySelector('.toast.shown')?.textContent.includes('changed elsewhere')")
    await page.until("document.querySelectorAll('#view-you .all:enabled').length === 2")
    values = "(({ city, topics }) => [city.value, topics.value])(document.getElementById('profile').elements)"
    assert await page.js(values) == ["Kyoto", "film"], "what was edited stays, the rest is as it is now"
    assert pipeline.published == []
    await page.js(submit("profile"))
    await page.until(SAVED)
    assert [(event.fields, event.city) for event in pipeline.published] == [(["city"], "Kyoto")]


@needs_browser
async def test_what_looks_like_a_line_end_inside_a_title_ends_no_line(page: Browser, pipeline: Pipeline) -> None:
    await pipeline.rank("ann", ["broken", *ITEMS])
    await page.until("document.querySelector('.feed .card .open')?.textContent.includes('A\\u2028B\\u0085C')")


@needs_browser
@pytest.mark.parametrize("cut", [1, 2, 3, 100])
async def test_the_page_reads_event_streams_as_browsers_do(page: Browser, cut: int) -> None:
    text = (
        "id: 1\r\nevent: feed\r\ndata: a\u2028b\x85\r\ndata:c\r\n\r\n"
        ": hello\n\ndata\r\revent: x\n\ndata: d\n\nid\ndata: e\n\ndata: f"
    )
    script = f"""import("/portal/stream.js").then(({{ eventParser }}) => {{
      const parse = eventParser(), text = {json.dumps(text)}, found = [];
      for (let at = 0; at < text.length; at += {cut}) found.push(...parse(text.slice(at, at + {cut})));
      return found.map(({{ id, event, data }}) => [id, event, data]);
    }})"""
    assert await page.js(script) == [
        ["1", "feed", "a\u2028b\x85\nc"],
        ["1", "message", ""],
        ["1", "message", "d"],
        ["", "message", "e"],
    ]


@needs_browser
async def test_a_notification_that_is_sent_appears_on_the_page(page: Browser, pipeline: Pipeline) -> None:
    notification = a_notification(
        user_id="ann", status="sent", title="Tonight: jazz", decided_at=clock.now_ms() + 60_000
    )
    await pipeline.pushes.add_notifications([notification])
    await page.js("document.dispatchEvent(new Event('visibilitychange'))")
    await page.until("document.querySelector('.toast.shown')?.textContent.includes('Tonight: jazz')")
    await page.js("document.querySelector('[data-view=you]').click()")
    await page.until("document.getElementById('decisions').textContent === 'Tonight: jazzSent'")


@needs_browser
@pytest.mark.parametrize("path", ["/", "/item/i7", "/you", "/find", "/operations"])
async def test_every_view_fits_a_phone(pipeline: Pipeline, chromium: Browser, path: str) -> None:
    async with serving(pipeline) as url:
        await chromium.open(f"{url}{path}#user=ann", width=390, height=844)
        await chromium.until("document.querySelectorAll('.feed .card .open').length === 30")
        await chromium.until("document.querySelector('.views [aria-current]')")
        assert await chromium.js("document.documentElement.scrollWidth <= innerWidth")
        assert await chromium.js("document.querySelector('.views').getBoundingClientRect().bottom === innerHeight")


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("path", ["/", "/item/i7", "/you", "/find?q=concert", "/operations"])
async def test_no_view_keeps_anybody_out(pipeline: Pipeline, chromium: Browser, path: str, dark: bool) -> None:
    await pipeline.portraits.write_stated([a_profile(user_id="ann", categories=["music"])])
    reached = Devices(user_id="ann", devices=[], preferences=PushPreferences(), changed_at=clock.now_ms())
    await pipeline.pushes.write_devices([reached])
    async with serving(pipeline) as url:
        for width, height in ((390, 844), (1280, 900)):
            await chromium.open(f"{url}{path}#user=ann", width=width, height=height, dark=dark)
            await chromium.until("document.querySelectorAll('.feed .card .open').length === 30")
            await chromium.until("document.querySelector('.views [aria-current]')")
            assert await chromium.barriers() == []
            assert chromium.complaints == []


@needs_browser
async def test_operations_show_charts_and_the_path_of_one_users_events(page: Browser) -> None:
    await page.js("document.querySelector('[data-view=operations]').click()")
    await page.until("document.querySelectorAll('#charts svg .line').length >= 2")
    charts = await page.js("[...document.querySelectorAll('#charts svg')].map(svg => svg.getAttribute('aria-label'))")
    assert [text.partition(":")[0] for text in charts] == ["Events a second", "Lag", "Freshness", "Language model"]
    assert await page.js("document.getElementById('health-text').textContent") == "All servers respond"
    assert await page.js("document.querySelector('#mix .part').textContent") == "trending100 %"
    assert await page.js("document.querySelector('#flow-feed .part').textContent") == "Title of i11.000"


@needs_browser
async def test_a_search_has_a_url_is_published_and_reports_no_matches(page: Browser, pipeline: Pipeline) -> None:
    await page.js("document.querySelector('[data-view=find]').click()")
    await page.js(
        "(form => { form.elements.query.value = 'late jazz'; form.requestSubmit() })(document.getElementById('search'))"
    )
    await page.until("document.getElementById('search-note').textContent=== 'No item matches these words.'")
    assert await page.js("location.pathname + location.search") == "/find?q=late%20jazz"
    await page.until("document.getElementById('view-home').hidden")
    assert [(event.action, event.query) for event in pipeline.published] == [("search", "late jazz")]


@needs_browser
async def test_a_token_opens_the_feed_of_its_user(pipeline: Pipeline, chromium: Browser) -> None:
    secret = "a secret for tests that is long enough"
    token = jwt.encode({"sub": "bob", "exp": time.time() + 600}, secret, "HS256")
    async with serving(pipeline, settings=Settings(api_security="on", jwt_secret=secret)) as url:
        await chromium.open(url)
        await chromium.until("document.getElementById('state-title')?.textContent === 'Sign in to see this feed'")
        await chromium.js("document.getElementById('retry').click()")
        await chromium.until("document.getElementById('view-you').hidden === false")
        await chromium.js(
            f"(form => {{ form.elements.token.value = '{token}'; form.requestSubmit() }})"
            "(document.getElementById('session'))"
        )
        await chromium.until("document.getElementById('signed').textContent === 'Signed in as bob.'")
        await chromium.js("document.querySelector('[data-view=home]').click()")
        await chromium.until("document.querySelectorAll('.feed .card .open').length === 30")
        await chromium.until("document.getElementById('connection').dataset.state === 'live'")
        await chromium.js("document.querySelector('.like').click()")
        await chromium.until("document.querySelector('.took')?.textContent.startsWith('feed changed')")
        assert [event.user_id for event in pipeline.published] == ["bob"]


@needs_browser
async def test_text_of_items_stays_text(page: Browser) -> None:
    assert await page.js("document.querySelector('[data-item=i2] .open').textContent") == NASTY
    assert await page.js("document.querySelectorAll('[data-item=i2] img').length") == 0


@needs_browser
async def test_a_visitor_sees_everyones_feed_until_they_act(page: Browser) -> None:
    await page.js("document.getElementById('visitor').click()")
    await page.until("!document.getElementById('fallback').hidden")
    await page.js("document.querySelector('.like').click()")
    await page.until("document.getElementById('fallback').hidden")


@needs_browser
async def test_another_user_can_be_chosen(page: Browser) -> None:
    assert await page.js("[...document.getElementById('user').options].map(o => o.textContent)") == [
        "ann — jazz",
        "bob",
    ]
    await page.js(
        "(user => { user.value = 'bob'; user.dispatchEvent(new Event('change')) })(document.getElementById('user'))"
    )
    await page.until("document.getElementById('heading').textContent === 'Feed of bob'")
    assert await page.js("location.hash") == "#user=bob"


@needs_browser
async def test_a_lost_server_is_said_and_found_again(pipeline: Pipeline, chromium: Browser) -> None:
    async with serving(pipeline) as url:
        await chromium.open(f"{url}/#user=ann")
        await chromium.until("document.querySelectorAll('.card .open').length === 30")
    await chromium.until("document.getElementById('connection').dataset.state === 'lost'")
    assert "last feed that arrived" in await chromium.until("document.getElementById('banner').textContent")
    await chromium.js("document.querySelector('.like').click()")
    assert "Not sent" in await chromium.until("document.querySelector('.toast.shown.bad')?.textContent")
    assert pipeline.published == []
    await pipeline.rank("ann", ITEMS[::-1])
    async with serving(pipeline, int(url.rpartition(":")[2])):
        await chromium.until("document.querySelector('.card').dataset.item === 'i30'")
        assert await chromium.js("document.getElementById('banner').hidden")
