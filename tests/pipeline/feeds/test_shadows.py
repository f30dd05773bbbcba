"""A shadow over the real servers: feeds are the same to the byte, a crash doubles no comparison, the report arrives."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
from msgspec.structs import replace

from infra import clock
from infra.address import Addresses
from infra.postgres.pool import connect
from infra.redis.stores.feed_store import RedisFeedStore
from schemas.types import Feed, ShadowComparison
from tests.build import an_interaction, an_item
from tests.pipeline.feeds.test_experiments import Experiment
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import INTERACTIONS, ITEMS, SHADOW_COMPARISONS

WITHIN_S = 180.0
USERS = [f"u{number}" for number in range(24)]
ALL = {"SHADOW_SHARE": "1"}
DEFINITION = {
    "experiment_id": "s1",
    "name": "Surprises, unseen",
    "status": "running",
    "is_shadow": True,
    "arms": [
        {"name": "as it is"},
        {"name": "same"},
        {"name": "surprising", "parameters": {"SERENDIPITY_WEIGHT": 10}},
    ],
}
ONE = "/ab/experiments/s1"
Key = tuple[str, int, str]
"""User, version of the features, and arm of a comparison."""


def key_of(comparison: ShadowComparison) -> Key:
    return comparison.user_id, comparison.features_version, comparison.arm


async def feeds_of(pipeline: Pipeline) -> dict[str, Feed]:
    return {feed.user_id: feed for feed in await RedisFeedStore(pipeline.redis).read(USERS) if feed is not None}


def content(pipeline: Pipeline, feeds: dict[str, Feed]) -> dict[str, bytes]:
    """Return the bytes of feeds, but for the times at which they were asked for and ranked."""
    codec = pipeline.registry.codec(Feed)
    return {name: codec.encode(replace(feed, features_version=0, generated_at=0)) for name, feed in feeds.items()}


async def like(pipeline: Pipeline, item_id: str) -> None:
    """Have all users like an item."""
    likes = [
        an_interaction(
            event_id=f"{user_id}-{item_id}", user_id=user_id, item_id=item_id, action="like", occurred_at=clock.now_ms()
        )
        for user_id in USERS
    ]
    await pipeline.publish(INTERACTIONS, likes)


async def rows_once(connection: asyncpg.Connection, keys: set[Key]) -> None:
    """Wait until the archive has the comparisons, each once."""

    async def are_there() -> bool:
        rows = await connection.fetch("SELECT user_id, features_version, arm FROM shadow_comparisons")
        return Counter(tuple(row) for row in rows) == Counter(keys)

    await until(are_there, timeout_s=WITHIN_S, what="the rows of the comparisons")


async def results_once(http: httpx.AsyncClient, rankings: int) -> dict[str, Any]:
    """Return the figures of the arms in all, once they are those of so many rankings."""

    async def are_there() -> dict[str, Any]:
        answer = await http.get(f"{ONE}/results")
        arms = answer.json()["arms"] if answer.is_success else []
        totals = {arm["name"]: arm["shadow"]["total"] for arm in arms if arm["shadow"]}
        return totals if sum(one["rankings"] for one in totals.values()) == rankings else {}

    totals: dict[str, Any] = await until(are_there, timeout_s=WITHIN_S, what=f"results of {rankings} rankings")
    return totals


async def test_a_shadow_is_never_shown_survives_a_crash_and_reports(
    stack: Addresses, tmp_path: Path, unused_tcp_port: int
) -> None:
    async with a_pipeline(stack, tmp_path) as pipeline:
        worker = await pipeline.start(**ALL)
        await pipeline.start("log,archive")
        url = await pipeline.start_api(unused_tcp_port)
        items = [an_item(f"{kind}{n}", topics=[kind], category=kind) for kind in ("jazz", "polka") for n in range(30)]
        await pipeline.publish(ITEMS, items)
        async with httpx.AsyncClient(base_url=url, timeout=30.0) as http:
            experiment = Experiment(pipeline, http)
            await like(pipeline, "jazz0")
            await like(pipeline, "jazz1")
            await pipeline.settle()
            now_ms = clock.now_ms()
            await pipeline.rerank(USERS, now_ms=now_ms)
            plain = await feeds_of(pipeline)
            assert not await pipeline.read(SHADOW_COMPARISONS)

            await experiment.send("POST", "/ab/experiments", DEFINITION)
            await pipeline.rerank(USERS, now_ms=now_ms)
            feeds = await feeds_of(pipeline)
            assert feeds.keys() == set(USERS)
            assert content(pipeline, feeds) == content(pipeline, plain)
            comparisons = {one.user_id: one for one in await pipeline.read(SHADOW_COMPARISONS)}
            assert comparisons.keys() == set(USERS)
            for user_id, one in comparisons.items():
                assert one.features_version == feeds[user_id].features_version
                assert one.items[0].startswith("jazz" if one.arm == "same" else "polka")

            await like(pipeline, "jazz2")
            await pipeline.kill(worker)
            await pipeline.start(worker_id="1", **ALL)
            await experiment.is_ready()
            await like(pipeline, "jazz3")
            await pipeline.settle()
            keys = {key_of(one) for one in await pipeline.read(SHADOW_COMPARISONS)}
            versions = {(user_id, version) for user_id, version, _ in keys}
            assert versions >= {(name, feed.features_version) for name, feed in (await feeds_of(pipeline)).items()}
            connection: asyncpg.Connection = await connect(stack.database_url)
            await rows_once(connection, keys)
            await connection.close()

            totals = await results_once(http, len(keys))
            same, other = totals["same"], totals["surprising"]
            assert (same["overlap@10"], same["rank_biased_overlap"], same["first_place_changes"]) == (1.0, 1.0, 0.0)
            assert same["score_difference"] == 0.0
            assert other["overlap@10"] < 0.5
            assert (other["first_place_changes"], min(same["rankings"], other["rankings"]) > 5) == (1.0, True)
            shares = {one["label"]: (one["shown_share"], one["shadow_share"]) for one in other["categories"]}
            assert shares["jazz"][0] > shares["jazz"][1]
            assert min(other["ranking_ms"], other["shown_ranking_ms"]) > 0
            await check_report(pipeline, http, len(keys))


async def check_report(pipeline: Pipeline, http: httpx.AsyncClient, rankings: int) -> None:
    """Check what the command and the metrics report."""
    status, out, err = await pipeline.millrace("experiments", "results", "s1", "--json")
    assert status == 0, err
    arms = msgspec.json.decode(out)["arms"]
    assert sum(arm["shadow"]["last_hour"]["rankings"] for arm in arms if arm["shadow"]) == rankings
    status, out, _ = await pipeline.millrace("experiments", "results", "s1")
    assert all(word in out for word in ("overlap@10", "surprising", "1.000", "polka", "nobody was shown"))
    metrics = (await http.get("/metrics")).text
    assert 'millrace_shadow{arm="same",experiment="s1",what="overlap"} 1.0' in metrics
    status, out, _ = await pipeline.millrace("experiments")
    assert "same (shadow)" in out
    status, out, err = await pipeline.millrace("experiments", "complete", "s1")
    assert (status, out) == (0, "s1 is completed.\n"), err
