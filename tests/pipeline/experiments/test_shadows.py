"""A shadow over the real servers: feeds are the same to the byte, a crash doubles no comparison, the report arrives."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import msgspec
from msgspec.structs import replace

from infra import clock
from infra.address import Addresses
from schemas.types import Feed, ShadowComparison
from tests.build import an_interaction, an_item
from tests.pipeline.experiments.test_experiments import USERS, Experiment
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import INTERACTIONS, ITEMS, SHADOW_COMPARISONS

WITHIN_S = 180.0
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


def content(pipeline: Pipeline, feeds: dict[str, Feed]) -> dict[str, bytes]:
    """Return the bytes of feeds, but for the times at which they were asked for and ranked."""
    codec = pipeline.registry.codec(Feed)
    return {name: codec.encode(replace(feed, features_version=0, generated_at=0)) for name, feed in feeds.items()}


async def equal_feeds(experiment: Experiment) -> dict[str, Feed]:
    """Return feeds under the running shadow once they equal those while it is paused; then it runs again.

    What users did reaches the statistics of items by and by, and may come in between.
    """

    async def are_equal() -> dict[str, Feed]:
        feeds = await experiment.rank()
        await experiment.send("PATCH", ONE, {"status": "paused"})
        plain_feeds = await experiment.rank()
        await experiment.send("PATCH", ONE, {"status": "running"})
        is_equal = content(experiment.pipeline, feeds) == content(experiment.pipeline, plain_feeds)
        return feeds if is_equal else {}

    feeds: dict[str, Feed] = await until(are_equal, timeout_s=WITHIN_S, what="feeds equal with and without the shadow")
    return feeds


async def comparisons_once(pipeline: Pipeline, feeds: dict[str, Feed]) -> None:
    """Wait until there is a comparison of each feed."""

    async def are_there() -> bool:
        versions = {key_of(one)[:2] for one in await pipeline.read(SHADOW_COMPARISONS)}
        return versions >= {(name, feed.features_version) for name, feed in feeds.items()}

    await until(are_there, timeout_s=WITHIN_S, what="a comparison of each feed")


async def results_once(pipeline: Pipeline, http: httpx.AsyncClient) -> dict[str, Any]:
    """Return the figures of the arms in all, once the archive has each comparison of the topic, and counts it once."""

    async def are_there() -> dict[str, Any]:
        answer = await http.get(f"{ONE}/results")
        arms = answer.json()["arms"] if answer.is_success else []
        totals = {arm["name"]: arm["shadow"]["total"] for arm in arms if arm["shadow"]}
        keys = {key_of(one) for one in await pipeline.read(SHADOW_COMPARISONS)}
        counts = Counter(arm for _, _, arm in keys)
        return totals if counts == {name: one["rankings"] for name, one in totals.items()} else {}

    totals: dict[str, Any] = await until(are_there, timeout_s=WITHIN_S, what="results of all rankings")
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
            await experiment.like()
            assert not await pipeline.read(SHADOW_COMPARISONS)
            await experiment.send("POST", "/ab/experiments", DEFINITION)
            await comparisons_once(pipeline, await equal_feeds(experiment))
            for one in await pipeline.read(SHADOW_COMPARISONS):
                assert one.items[0].startswith("jazz" if one.arm == "same" else "polka")

            more_likes = [
                an_interaction(
                    event_id=f"more-{user_id}",
                    user_id=user_id,
                    item_id="jazz0",
                    action="like",
                    occurred_at=clock.now_ms(),
                )
                for user_id in USERS
            ]
            await pipeline.publish(INTERACTIONS, more_likes)
            await pipeline.kill(worker)
            await pipeline.start(worker_id="1", **ALL)
            await experiment.is_ready()
            await comparisons_once(pipeline, await experiment.like())

            totals = await results_once(pipeline, http)
            same, other = totals["same"], totals["surprising"]
            assert (same["overlap@10"], same["rank_biased_overlap"], same["first_place_changes"]) == (1.0, 1.0, 0.0)
            assert same["score_difference"] == 0.0
            assert other["overlap@10"] < 0.9
            assert (other["first_place_changes"], min(same["rankings"], other["rankings"]) > 5) == (1.0, True)
            shares = {one["label"]: (one["shown_share"], one["shadow_share"]) for one in other["categories"]}
            assert shares["jazz"][0] > shares["jazz"][1]
            assert min(other["ranking_ms"], other["shown_ranking_ms"]) > 0
            await check_report(pipeline, http)


async def check_report(pipeline: Pipeline, http: httpx.AsyncClient) -> None:
    """Check what the command and the metrics report."""
    status, out, err = await pipeline.millrace("experiments", "results", "s1", "--json")
    assert status == 0, err
    arms = msgspec.json.decode(out)["arms"]
    assert all(arm["shadow"]["last_hour"] == arm["shadow"]["total"] for arm in arms[1:])
    status, out, _ = await pipeline.millrace("experiments", "results", "s1")
    assert all(word in out for word in ("overlap@10", "surprising", "1.000", "polka", "nobody was shown"))
    metrics = (await http.get("/metrics")).text
    assert 'millrace_shadow{arm="same",experiment="s1",what="overlap"} 1.0' in metrics
    status, out, _ = await pipeline.millrace("experiments")
    assert out.count("(shadow)") == 2
    status, out, err = await pipeline.millrace("experiments", "complete", "s1")
    assert (status, out) == (0, "s1 is completed.\n"), err
