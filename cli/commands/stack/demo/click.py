"""One click, and the time until the feed has changed, measured as a client of the API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec

from cli.commands.stack.demo.proof import DemoError
from cli.commands.stack.demo.publish import post
from schemas.types import Interaction

_DEADLINE_S = 20.0

Feed = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """The effect of one click: the clicked item, the feeds before and after, and the latency."""

    item: Feed
    before: Feed
    after: Feed
    took_ms: float


async def read_feed(client: httpx.AsyncClient, user_id: str) -> Feed:
    """Return a user's feed from GET /content.

    Raises:
        DemoError: the API returned no feed.
    """
    answer = await client.get("/content", params={"user_id": user_id})
    if answer.status_code != httpx.codes.OK:
        raise DemoError(f"GET /content: {answer.status_code} {answer.text[:500]}")
    feed: Feed = answer.json()
    return feed


async def click(client: httpx.AsyncClient, user_id: str, event_id: str, now_ms: int) -> Click:
    """Click an item of a user's feed, and wait for the changed feed on the feed's event stream.

    Args:
        client: A client of the API.
        user_id: The user.
        event_id: The id of the click.
        now_ms: The time of the click, in ms since the epoch.

    Raises:
        DemoError: the feed did not change in time.
    """
    feeds = follow(client, user_id)
    try:
        async with asyncio.timeout(_DEADLINE_S):
            before = await anext(feeds)
            item = choose(before)
            event = Interaction(
                event_id=event_id, user_id=user_id, item_id=item["item_id"], action="click", occurred_at=now_ms
            )
            clicked_s = time.perf_counter()
            request = asyncio.create_task(post(client, "/interaction", event))
            async for after in feeds:
                if after["watermark"] < now_ms:  # an update that does not include the click yet
                    before = after
                elif item_ids(after) != item_ids(before):
                    took_ms = (time.perf_counter() - clicked_s) * 1000
                    await request
                    return Click(item=item, before=before, after=after, took_ms=round(took_ms, 1))
    except TimeoutError:
        raise DemoError(f"the feed of {user_id} did not change within {_DEADLINE_S:.0f} s of a click") from None
    finally:
        await feeds.aclose()
    raise DemoError(f"the feed stream of {user_id} ended")


async def follow(client: httpx.AsyncClient, user_id: str) -> AsyncGenerator[Feed, None]:
    """Yield a user's current feed, and each update (server-sent events)."""
    async with client.stream("GET", "/content/stream", params={"user_id": user_id}, timeout=None) as answer:
        if answer.status_code != httpx.codes.OK:
            raise DemoError(f"GET /content/stream: {answer.status_code}")
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                yield msgspec.json.decode(line.removeprefix("data:"))


def choose(feed: Feed) -> Feed:
    """Return the item to click: the first of another category than the top item, so that the effect is easy to see."""
    items: list[Feed] = feed["items"]
    if not items:
        raise DemoError(f"the feed of {feed['user_id']} is empty")
    top = (items[0]["item"] or {}).get("category")
    return next((entry for entry in items if (entry["item"] or {}).get("category") != top), items[0])


def item_ids(feed: Feed) -> list[str]:
    """Return the ids of a feed's items."""
    return [entry["item_id"] for entry in feed["items"]]
