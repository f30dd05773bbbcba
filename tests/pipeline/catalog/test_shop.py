"""The shop on real servers: from a file and clicks to homes, similar products, rules and searches."""

import csv
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from infra import clock
from infra.address import Addresses
from schemas.types import Interaction
from streams.roles.shop import similarity_fit
from tests.build import an_interaction
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import INTERACTIONS

COLUMNS = ("id", "name", "main_category", "sub_category", "ratings", "no_of_ratings", "discount_price", "actual_price")
KINDS = {
    "audio": ("Headphones", "Wireless Headphones with Mic"),
    "shoes": ("Sports Shoes", "Running Shoes for Men"),
    "home": ("Lighting", "Desk Lamp of Brass"),
}
"""By category: what products are filed under, and what their names begin with."""
USERS = 12


def product(category: str, number: int) -> str:
    return f"{category.upper():0<7}{number:03}"


def a_file(path: Path) -> Path:
    """Write eight products of each category, and a row that is none."""
    with path.open("w", newline="") as text:
        rows = csv.writer(text)
        rows.writerow(COLUMNS)
        for category, (topic, name) in KINDS.items():
            for number in range(8):
                row = (
                    product(category, number),
                    f"{name} {number}",
                    category,
                    topic,
                    4.1,
                    f"1,{number}00",
                    "₹500",
                )
                rows.writerow((*row, f"₹{600 + 100 * number}"))
        rows.writerow((product("home", 99), "Nothing", "home", "", "", "", "cheap", ""))
    return path


def clicks() -> list[Interaction]:
    """Return a stream in which whoever clicks on the first headphones clicks on the first lamp, too."""
    now_ms = clock.now_ms()
    pairs = [("audio", "home") if user % 3 else ("shoes", "shoes") for user in range(USERS)]
    return [
        an_interaction(
            event_id=str(uuid.uuid4()), user_id=f"u{user}", item_id=product(category, place and category == "shoes"),
            occurred_at=now_ms - 1_000 + place,
        )
        for user, pair in enumerate(pairs)
        for place, category in enumerate(pair)
    ]  # fmt: skip


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        yield pipeline


async def imported(pipeline: Pipeline, file: Path) -> None:
    status, out, err = await pipeline.millrace("import", "products", str(file), "--json")
    assert status == 0, err
    report = msgspec.json.decode(out)
    assert (report["items"], report["rejected"]) == (24, 1)
    assert "discount_price: 'cheap' is not a price" in report["problems"][0]


def ids(products: list[dict[str, Any]]) -> list[str]:
    return [one["id"] for one in products]


async def test_an_imported_shop_is_browsed_searched_and_becomes_personal(
    pipeline: Pipeline, pool: asyncpg.Pool, tmp_path: Path, unused_tcp_port: int
) -> None:
    await imported(pipeline, a_file(tmp_path / "shop.csv"))
    await pipeline.start("feed,archive,log")
    await pipeline.publish(INTERACTIONS, clicks())

    async def kept() -> Any:
        counts = (
            "SELECT (SELECT count(*) FROM interactions) = $1 AND (SELECT items FROM words WHERE word = 'lighting') = 8"
        )
        return await pool.fetchval(counts, 2 * USERS)

    await until(kept, what="products and clicks in the archive")
    await similarity_fit.fit(pool, datetime.now(UTC), features=10_000)
    await pipeline.start("shop")
    url = await pipeline.start_api(unused_tcp_port)
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:

        async def got(path: str, **params: Any) -> Any:
            answer = await http.get(path, params=params)
            assert answer.is_success, answer.text
            return answer.json()

        async def home(user_id: str) -> Any:
            return await got("/recommendations/home", user_id=user_id)

        async def stocked() -> Any:
            page = await home("new")
            return page["trending"] and page["trending"][0]["id"] in (product("audio", 0), product("home", 0)) and page

        new = await until(stocked, what="charts")
        assert new["personalized"] == []
        assert set(new["top_categories"]) == set(KINDS)
        assert len(ids(new["diverse_picks"])) == 20
        assert new["best_value"][0]["discount_ratio"] == max(one["discount_ratio"] for one in new["best_value"])

        similar = (await got(f"/recommendations/product/{product('audio', 3)}", response_limit=7))["similar"]
        assert set(ids(similar)) == {product("audio", number) for number in range(8) if number != 3}
        [rule] = (await got(f"/recommendations/product/{product('audio', 0)}/rules"))["rules"]
        assert (rule["product"]["id"], rule["confidence"]) == (product("home", 0), 1.0)

        page = await got("/recommendations/search", query="hedphones")
        assert set(ids(page["results"])) >= {product("audio", number) for number in range(8)}
        assert "fallback_reason" not in page
        nothing = await got("/recommendations/search", query="qwxzzyk", response_limit=3)
        assert (ids(nothing["results"]), nothing["fallback_reason"]) == (ids(new["trending"])[:3], "no_search_matches")

        for body in (
            {"event_type": "product_click", "product_id": product("audio", 0)},
            {"event_type": "search_query", "query": "running shoes"},
        ):
            assert (await http.post("/interactions", json={"user_id": "user123"} | body)).status_code == 200

        async def personal() -> Any:
            page = await home("user123")
            shown_categories = {item[:5] for item in ids(page["personalized"])}
            return {"AUDIO", "SHOES"} <= shown_categories and page

        mine = await until(personal, what="a home of their own")
        personal_ids = ids(mine["personalized"])
        assert personal_ids[0][:5] in ("AUDIO", "HOME0"), "what was clicked counts more than what was searched for"
        assert product("audio", 0) not in personal_ids
        assert product("home", 0) in personal_ids, "it goes with what was clicked"

        async def done() -> Any:
            page = (await got("/api/v1/interactions/interactions/user123"))["interactions"]
            return len(page) == 2 and page

        columns = ("event_type", "product_id", "query")
        second, first = await until(done, what="both events in the archive")
        assert [first[name] for name in columns] == ["product_click", product("audio", 0), None]
        assert [second[name] for name in columns] == ["search_query", None, "running shoes"]
