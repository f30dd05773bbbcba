"""The documents' endpoints on the whole pipeline: what is published becomes what is read."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.address import Addresses
from tests.build import an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import ITEMS


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        articles = [an_item(f"i{n}", category="articles", topics=["ai" if n % 2 else "garden"]) for n in range(6)]
        await pipeline.publish(ITEMS, articles)
        yield pipeline


async def test_candidates_nobody_has_seen_are_ranked_and_a_profile_and_experiments_are_read(
    pipeline: Pipeline, unused_tcp_port: int
) -> None:
    url = await pipeline.start_api(unused_tcp_port)
    await pipeline.start("feed,log")
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:

        async def post(path: str, body: dict[str, Any]) -> Any:
            answer = await http.post(path, json=body)
            assert answer.is_success, answer.text
            return answer.json()

        liked = {"user_id": "ann", "item_id": "i1", "interaction_type": "like"}
        await post("/interaction", liked)
        arms = [{"name": "as it is"}, {"name": "new"}]
        defined = await post("/ab/experiments", {"name": "More of what is new", "arms": arms})

        async def known() -> Any:
            answer = await http.get("/profile/ann")
            return answer.is_success and answer.json()

        async def listed() -> Any:
            return (await http.get("/ab/experiments")).json()["experiments"]

        profile = await until(known, what="the profile")
        assert (profile["interactions"], profile["preferences"]["topics"]) == ({"like": 1}, {"ai": 1.0})
        assert await until(listed, what="the experiment") == [defined]
        said = [
            {"id": "new1", "title": "Roses in winter", "topics": ["roses"]},
            {"id": "new2", "title": "Trends in learning", "topics": ["ai"]},
        ]
        ranked = await post("/personalize", {"user_id": "ann", "candidates": said})
        assert [one["id"] for one in ranked["recommendations"]] == ["new2", "new1"]
        assert ranked["recommendations"][0]["reason"] in ("You like ai", "Like what you liked")
