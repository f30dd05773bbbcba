"""What leaves the catalogue, or is sold out, leaves everything that is read, within a moment: on real servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from infra import clock
from infra.address import Addresses
from infra.local.port import free_ports
from millrace_client import AsyncMillrace
from schemas.types import Interaction
from tests.build import a_product, a_profile, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import INTERACTIONS, ITEMS, PROFILES

SOON_S = 1.0
TRIES = 5
IDS = [f"A00000000{n}" for n in range(8)]
USERS = ("ann", "bob")


def products() -> list[Any]:
    return [a_product(item_id, f"Jazz record number {item_id[-1]}", **FAMOUS.get(item_id, {})) for item_id in IDS]


FAMOUS = {IDS[0]: {"rating": 5.0, "reviews": 9_000}, IDS[1]: {"rating": 4.9, "reviews": 8_000}}


class Shop:
    """A shop of eight products, all of whose roles run, and what is read of it."""

    def __init__(self, pipeline: Pipeline, http: httpx.AsyncClient) -> None:
        self.pipeline, self.http = pipeline, http

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.http.get(path, params=params)
        return answer.json() if answer.status_code == 200 else {}

    async def lists(self) -> dict[str, list[str]]:
        """Return the ids of every list that is read."""
        content = await self.get("/content", user_id="ann")
        fallback = await self.get("/content", user_id="nobody")
        results = await self.get("/results/ann")
        recommendations = await self.get("/api/v1/recommendations", user_id="ann", limit=50)
        matches = await self.get("/search", q="jazz", limit=50)
        nothing = await self.get("/search", q="qwxzzyk", limit=50)
        home = await self.get("/recommendations/home", user_id="ann", response_limit=60)
        shop_search = await self.get("/recommendations/search", query="jazz")
        similar = await self.get(f"/recommendations/product/{IDS[7]}", response_limit=60)
        contents = await self.get("/api/v1/content", limit=50)
        alike = await self.get(f"/api/v1/content/{IDS[7]}/similar", threshold=0, limit=50)
        return {
            "content": [one["item_id"] for one in content.get("items", [])],
            "fallback": [one["item_id"] for one in fallback.get("items", [])],
            "results": [one["item_id"] for group in results.get("categories", []) for one in group["items"]],
            "recommendations": [one["content_id"] for one in recommendations.get("recommendations", [])],
            "search": [one["item_id"] for one in matches.get("results", [])],
            "nothing found": [one["item_id"] for one in nothing.get("results", [])],
            "personalized": [one["id"] for one in home.get("personalized", [])],
            "trending": [one["id"] for one in home.get("trending", [])],
            "best value": [one["id"] for one in home.get("best_value", [])],
            "category": [one["id"] for one in home.get("top_categories", {}).get("stores", [])],
            "diverse": [one["id"] for one in home.get("diverse_picks", [])],
            "shop search": [one["id"] for one in shop_search.get("results", [])],
            "similar": [one["id"] for one in similar.get("similar", [])],
            "catalogue": [one["content_id"] for one in contents.get("content", [])],
            "alike": [one["content_id"] for one in alike.get("similar", [])],
        }

    async def holding(self, item_id: str) -> set[str]:
        """Return the lists that hold an item."""
        return {name for name, ids in (await self.lists()).items() if item_id in ids}

    async def seconds_until(self, condition: Callable[[], Any]) -> float:
        """Return how long it takes until a condition holds."""
        began_s = time.monotonic()
        await until(condition, timeout_s=60.0)
        return time.monotonic() - began_s

    async def delete(self, item_id: str) -> None:
        self.pipeline.publisher.produce_bytes(ITEMS, item_id.encode(), None)
        await self.pipeline.publisher.flush()


async def everywhere(shop: Shop, item_id: str, *but: str) -> None:
    """Wait until all lists hold an item, but for some."""

    async def there() -> bool:
        return await shop.holding(item_id) >= set(await shop.lists()) - set(but)

    try:
        await until(there, timeout_s=120.0)
    except TimeoutError:
        assert await shop.holding(item_id) == set(await shop.lists()) - set(but)


@pytest.fixture(scope="module")
async def shop(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as exits:
        pipeline = await exits.enter_async_context(a_pipeline(stack, tmp_path_factory.mktemp("gone")))
        (port,) = free_ports(1)
        http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30)
        await pipeline.start("feed")
        await pipeline.start("archive,log,shop")
        await pipeline.start_api(port, DEFAULT_SURFACE="all")
        await pipeline.publish(ITEMS, [*products(), an_item("concert", category="events", title="Jazz tonight")])
        await pipeline.publish(PROFILES, [a_profile(user_id=user, occurred_at=clock.now_ms()) for user in USERS])

        async def stocked() -> bool:
            return any(beat.get("products") == len(IDS) for beat in await pipeline.roles())

        await until(stocked, timeout_s=120.0, what="a shop that knows its products")
        yield Shop(pipeline, await exits.enter_async_context(http))


async def clicks(shop: Shop, item_id: str, *users: str) -> None:
    events: list[Interaction] = [
        an_interaction(user_id=user, item_id=item_id, occurred_at=clock.now_ms() + n) for n, user in enumerate(users)
    ]
    await shop.pipeline.publish(INTERACTIONS, events)


async def test_a_deleted_item_leaves_everything_that_is_read(shop: Shop) -> None:
    search = an_interaction(user_id="ann", item_id=None, action="search", query="jazz", occurred_at=clock.now_ms())
    await shop.pipeline.publish(INTERACTIONS, [search])
    await clicks(shop, IDS[7], "ann")
    await clicks(shop, IDS[0], *(f"user-{n}" for n in range(4)))
    await clicks(shop, IDS[2], *(f"user-{n}" for n in range(3)))
    await everywhere(shop, IDS[0])
    async with AsyncMillrace(str(shop.http.base_url)) as millrace:
        stream = millrace.updates("ann")
        first = await anext(stream)
        assert IDS[0] in [item.item_id for item in first.items]
        await shop.delete(IDS[0])

        async def gone() -> bool:
            return not await shop.holding(IDS[0])

        took_s = await shop.seconds_until(gone)
        while IDS[0] in [item.item_id for item in (await asyncio.wait_for(anext(stream), SOON_S * TRIES)).items]:
            continue
    assert took_s < SOON_S * TRIES, "a cached item stays for half a minute"
    content = await shop.get("/content", user_id="ann", limit=5)
    assert len(content["items"]) == 5, "what is gone takes no place"


async def test_what_is_sold_out_is_not_shown_until_it_is_there_again(shop: Shop) -> None:
    await clicks(shop, IDS[7], "ann")  # her home is made anew, of all products that can be searched by now
    await everywhere(shop, IDS[1], "nothing found")
    sold_out = a_product(IDS[1], "Jazz record number 1", stock=0, **FAMOUS[IDS[1]])
    await shop.pipeline.publish(ITEMS, [sold_out])

    async def gone() -> bool:
        return await shop.holding(IDS[1]) <= {"catalogue"}

    assert await shop.seconds_until(gone) < SOON_S * TRIES
    await shop.pipeline.publish(ITEMS, [a_product(IDS[1], "Jazz record number 1", stock=5, **FAMOUS[IDS[1]])])
    await everywhere(shop, IDS[1], "nothing found")


async def test_a_validator_holds_until_anything_changes(shop: Shop) -> None:
    async def read(**headers: str) -> httpx.Response:
        return await shop.http.get("/content", params={"user_id": "bob"}, headers=headers)

    async def held() -> httpx.Response | None:
        answer = await read()
        again = await read(**{"If-None-Match": answer.headers["ETag"]})
        return answer if again.status_code == 304 else None

    first: httpx.Response = await until(held, what="a feed that nothing changes")
    headers = {"If-None-Match": first.headers["ETag"]}
    last_id = first.json()["items"][-1]["item_id"]
    [item] = [one for one in products() if one.item_id == last_id] or [an_item("concert", category="events")]
    await shop.pipeline.publish(ITEMS, [a_product(item.item_id, "Another title", price=1.0)])

    async def changed() -> bool:
        answer = await read(**headers)
        return answer.status_code == 200 and "Another title" in answer.text

    assert await shop.seconds_until(changed) < SOON_S * TRIES
