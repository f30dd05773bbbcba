"""A real browser, Debian's Chromium or whichever is installed, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser as Chromium
from playwright.async_api import ConsoleMessage, Page, Route, async_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_WAIT_MS = 20_000
_GRAVE = ("serious", "critical")
_UNTIL = """new Promise((resolve, reject) => {
  const started = Date.now();
  (function look() {
    const value = (CONDITION);
    if (value) resolve(value);
    else if (Date.now() - started < WAIT) setTimeout(look, 20);
    else reject(new Error("never came true; the page says: " + document.body.innerText.slice(0, 500)));
  })();
})"""
"""Playwright's own waiting evaluates strings, which the page's policy forbids."""


class Browser:
    """One page of a browser."""

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium
        self._page: Page | None = None
        self.complaints: list[str] = []
        """Exceptions and errors that the page logged."""

    async def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Open an address in a new page, in place of the one before it."""
        if self._page is not None:
            await self._page.context.close()
        self.complaints = []
        context = await self._chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        self._page = await context.new_page()
        self._page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self._page.on("console", self._listen)
        await self._page.goto(url, wait_until="commit")

    async def js(self, expression: str) -> Any:
        """Return the value of an expression, awaited if it is a promise."""
        return await self._now.evaluate(expression)

    async def until(self, condition: str) -> Any:
        """Wait until an expression is true on the page, and return its value."""
        return await self.js(_UNTIL.replace("CONDITION", condition).replace("WAIT", str(_WAIT_MS)))

    async def fail(self, pattern: str, fault: str | None) -> None:
        """Have requests to addresses fail: `offline`, `cut`, `html`, or with a status; None lets them through again."""
        await self._now.unroute(pattern)

        async def answer(route: Route) -> None:
            match fault:
                case "offline":
                    await route.abort("internetdisconnected")
                case "cut":
                    await route.fulfill(body='{"user_id": "a', content_type="application/json")
                case "html":
                    await route.fulfill(body="<!doctype html>", content_type="text/html")
                case status:
                    await route.fulfill(status=int(status or 0), body="{}", content_type="application/json")

        if fault is not None:
            await self._now.route(pattern, answer)

    async def key(self, key: str) -> None:
        """Press and release a key."""
        await self._now.keyboard.press(key)

    async def barriers(self) -> list[str]:
        """Return what axe finds that keeps people out, gravely, once nothing fades in any more."""
        await self.until("document.getAnimations().every(a => a.effect.getComputedTiming().iterations === Infinity)")
        result = (await Axe().run(self._now)).response["violations"]
        return [f"{one['id']}: {one['nodes'][0]['html']}" for one in result if one["impact"] in _GRAVE]

    @property
    def _now(self) -> Page:
        assert self._page is not None, "open a page first"
        return self._page

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"{message.text} {message.location.get('url')}")


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Yield a browser with a new profile."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield Browser(chromium)
        await chromium.close()
