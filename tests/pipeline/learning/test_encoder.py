"""A network on the real stack: promoted once it ranks better, served through vectors, refused when it ranks worse."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from domain.timestamp import DAY_MS
from infra import clock
from infra.address import Addresses
from schemas.types import EncoderVersion, Interaction
from streams.core.item.encoder_record import encoder_of, space_of
from tests.build import T0_MS, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import CHOICES, ENCODER_VECTORS, ENCODER_VERSIONS, FEEDS, INTERACTIONS, ITEMS, MODEL_VERSIONS

ITEM_COUNT, USERS, VISITS = 16, 300, 6
SETTINGS = {
    "ENCODER": "sequence",
    "ENCODER_PUBLISH_INTERVAL_S": "3",
    "ENCODER_EVENTS": "3000",
    "LEARNING_RATE": "0.01",
    "MODEL_FIT_INTERVAL_S": "0",
    "MODEL_FULL_FIT_INTERVAL_S": "0",
}


def walks(first: int, users: int) -> list[Interaction]:
    """Return likes of users who go round the circle of items, each from a place of its own."""
    draw = random.Random(first)
    return [
        an_interaction(
            event_id=f"e{first}-{user}-{step}",
            user_id=f"u{first}-{user}",
            item_id=f"i{(start + step) % ITEM_COUNT}",
            action="like",
            occurred_at=T0_MS + 60_000 * (first + user) + step,
        )
        for user, start in enumerate(draw.choices(range(ITEM_COUNT), k=users))
        for step in range(VISITS)
    ]


def returns(day: int) -> list[Interaction]:
    """Return the next like of users of the first walks, some days later."""
    starts = random.Random(0).choices(range(ITEM_COUNT), k=USERS)
    return [
        an_interaction(
            event_id=f"r{user}-{day}",
            user_id=f"u0-{user}",
            item_id=f"i{(start + VISITS + day - 1) % ITEM_COUNT}",
            action="like",
            occurred_at=T0_MS + day * DAY_MS + 60_000 * user,
        )
        for user, start in enumerate(starts[:100])
    ]


async def beats(pipeline: Pipeline, role: str) -> list[dict[str, Any]]:
    return [beat for beat in await pipeline.roles() if beat["role"] == role]


async def versions(pipeline: Pipeline) -> dict[str, EncoderVersion]:
    return await pipeline.newest(ENCODER_VERSIONS)


async def test_a_network_is_promoted_serves_feeds_and_is_refused_when_it_ranks_worse(
    stack: Addresses, tmp_path: Path
) -> None:
    async with a_pipeline(stack, tmp_path) as pipeline:
        await pipeline.publish(ITEMS, [an_item(f"i{n}", created_at=T0_MS - 1) for n in range(ITEM_COUNT)])
        await pipeline.publish(INTERACTIONS, walks(0, USERS))
        await pipeline.start("feed,trainer,links", **SETTINGS)
        encoder = await pipeline.start("encoder", worker_id="1", **SETTINGS)
        rounds = iter(range(1_000, 1_000_000, 1_000))

        async def promoted() -> EncoderVersion | None:
            newest = (await versions(pipeline)).get("sequence")
            if newest is None:
                await pipeline.publish(INTERACTIONS, walks(next(rounds), 20))
            return newest

        version: EncoderVersion = await until(promoted, timeout_s=180.0, look_every_s=0.5, what="a version in service")
        assert (version.status, version.items) == ("serving", ITEM_COUNT)
        assert version.metrics["ndcg@10"] > version.metrics["serving_ndcg@10"]
        assert encoder_of(version).dim == 64
        vectors = await pipeline.newest(ENCODER_VECTORS)
        assert vectors.keys() == {f"i{n}" for n in range(ITEM_COUNT)}

        async def is_served() -> bool:
            newest = (await versions(pipeline))["sequence"].version
            return [beat["encoder"] for beat in await beats(pipeline, "feed")] == [newest]

        await until(is_served, timeout_s=120.0, what="the version in the feed worker")

        async def is_one_space() -> bool:  # another version may be on its way
            spaces = {one.space for one in (await pipeline.newest(ENCODER_VECTORS)).values()}
            return spaces == {space_of("sequence", (await versions(pipeline))["sequence"].version)}

        await until(is_one_space, timeout_s=120.0, look_every_s=0.5, what="vectors of the version in service alone")

        for day in range(1, 4):  # users come back to a feed that the network has ranked
            await pipeline.settle()
            await pipeline.publish(INTERACTIONS, returns(day))

        async def learned_weights() -> list[float]:
            weights = [
                weight
                for one in (await pipeline.newest(MODEL_VERSIONS)).values()
                for number, weight in enumerate(one.weights)
                if one.parts[number % len(one.parts)] == "encoded"
            ]
            return [weight for weight in weights if abs(weight) > 1e-3]

        await until(learned_weights, timeout_s=120.0, look_every_s=1.0, what="a weight of the feature")
        assert any("encoded" in choice.features for choice in await pipeline.read(CHOICES))
        await pipeline.rerank(["u0-0"], now_ms=clock.now_ms())
        assert "taste" in (await pipeline.newest(FEEDS))["u0-0"].parts

        assert await pipeline.stop(encoder) == 0
        in_service = (await versions(pipeline))["sequence"]
        ruinous = {**SETTINGS, "LEARNING_RATE": "3"}
        again = await pipeline.start("encoder", worker_id="1", **ruinous)

        async def worse_version() -> EncoderVersion | None:
            await pipeline.publish(INTERACTIONS, walks(next(rounds), 20))
            newest = (await versions(pipeline)).get("sequence/refused")
            is_new = newest is not None and newest.version > in_service.version
            is_worse = newest is not None and newest.metrics["ndcg@10"] < newest.metrics["serving_ndcg@10"]
            return newest if is_new and is_worse else None

        refused_version: EncoderVersion = await until(
            worse_version, timeout_s=180.0, look_every_s=1.0, what="a refused version"
        )
        assert (refused_version.status, refused_version.parameters, refused_version.items) == ("refused", b"", 0)
        assert refused_version.reason.startswith(("not better: NDCG@10 ", "it has diverged"))
        assert (await versions(pipeline))["sequence"].version == in_service.version
        await until(is_served, timeout_s=120.0, what="the version of before in the feed worker")
        assert await pipeline.stop(again) == 0
        assert not await pipeline.dead_letters()


async def test_the_role_refuses_to_start_without_a_network(stack: Addresses, tmp_path: Path) -> None:
    async with a_pipeline(stack, tmp_path) as pipeline:
        status, _, error = await asyncio.wait_for(pipeline.millrace("worker", "--roles", "encoder"), 60)
        assert status != 0
        assert "ENCODER names no network to learn." in error
