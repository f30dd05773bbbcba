"""The page as a whole: its parts, views on phones and for everybody, search, operations, and a lost server."""

import json
import re

import httpx
import pytest

from infra import clock
from schemas.types import Devices, PushPreferences
from tests.build import a_profile
from tests.portal.browser import Browser
from tests.portal.served_page import ITEMS, Pipeline, needs_browser, serving


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
    devices = Devices(user_id="ann", devices=[], preferences=PushPreferences(), changed_at=clock.now_ms())
    await pipeline.pushes.write_devices([devices])
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
    rates = await page.js("[...document.querySelectorAll('#click-rates .pair')].map(line => line.textContent)")
    assert rates == ["Last hour–0 shown", "Last day–0 shown"]
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
    assert [(event.action, event.query) for event in pipeline.events] == [("search", "late jazz")]


@needs_browser
async def test_a_lost_server_is_said_and_found_again(pipeline: Pipeline, chromium: Browser) -> None:
    async with serving(pipeline) as url:
        await chromium.open(f"{url}/#user=ann")
        await chromium.until("document.querySelectorAll('.card .open').length === 30")
    await chromium.until("document.getElementById('connection').dataset.state === 'lost'")
    assert "last feed that arrived" in await chromium.until("document.getElementById('banner').textContent")
    await chromium.js("document.querySelector('.like').click()")
    assert "Not sent" in await chromium.until("document.querySelector('.toast.shown.bad')?.textContent")
    assert pipeline.events == []
    await pipeline.rank("ann", ITEMS[::-1])
    async with serving(pipeline, int(url.rpartition(":")[2])):
        await chromium.until("document.querySelector('.card').dataset.item === 'i30'")
        assert await chromium.js("document.getElementById('banner').hidden")
