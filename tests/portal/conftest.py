"""A pipeline, a browser, and the page open in it."""

from collections.abc import AsyncIterator

import pytest

from infra.redis.stores.feed_store import DEFAULT_FEED
from tests.portal.browser import Browser, browser
from tests.portal.served_page import ITEMS, Pipeline, serving


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
