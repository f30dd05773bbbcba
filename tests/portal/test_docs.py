"""The viewers of the documents in a real browser: they draw what is there, and nothing is refused to them."""

from collections.abc import AsyncIterator

import pytest

from api.app import create_app
from api.context import Clients
from infra.fakes.memory_publisher import MemoryPublisher
from infra.fakes.serve import serve_app
from infra.redis.stores.feed_store import MemoryFeedStore
from infra.redis.stores.item_store import MemoryItemStore
from infra.settings import Settings
from tests.portal.browser import CHROMIUM, Browser, browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
async def docs() -> AsyncIterator[tuple[str, Browser]]:
    clients = Clients(publisher=MemoryPublisher(), feeds=MemoryFeedStore(), items=MemoryItemStore())
    async with (
        serve_app(create_app(Settings(), clients)) as url,
        browser() as chromium,
    ):
        yield url, chromium


@pytest.mark.parametrize(
    ("path", "shows"),
    [
        ("/docs", "document.querySelectorAll('.opblock').length > 20"),
        ("/redoc", "document.body && document.body.innerText.includes('/results/re-rank')"),
        ("/docs/topics", "document.querySelectorAll('section').length > 20"),
        ("/docs/errors", "document.getElementById('no_feed')"),
    ],
)
async def test_a_document_is_drawn_without_complaint(docs: tuple[str, Browser], path: str, shows: str) -> None:
    url, page = docs
    await page.open(url + path)
    await page.until(f"!!({shows})")
    assert await page.js("performance.getEntriesByType('resource').every(one => one.name.startsWith(location.origin))")
    assert page.complaints == []
