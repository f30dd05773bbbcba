"""The scale of ratings on real servers: what is above it is set aside, and counts once the setting is right."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra import clock
from infra.address import Addresses
from schemas.types import DeadLetter, Interaction, ItemStats
from tests.build import an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import INTERACTIONS, ITEMS

USERS = 10


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        yield pipeline


def ratings(item_id: str, value: float) -> list[Interaction]:
    now_ms = clock.now_ms()
    return [
        an_interaction(
            event_id=str(uuid.uuid4()),
            user_id=f"{item_id}-{number}",
            item_id=item_id,
            action="rate",
            value=value,
            occurred_at=now_ms - 1_000 + number,
        )
        for number in range(USERS)
    ]


async def test_ratings_of_ten_points_are_dead_letters_at_five_and_count_at_ten(pipeline: Pipeline) -> None:
    low, high = (f"item-{uuid.uuid4()}" for _ in range(2))

    async def letters() -> list[DeadLetter]:
        waiting = [one for one in await pipeline.dead_letters() if (one.key or b"").decode().startswith(high)]
        return waiting if len(waiting) == USERS else []

    async def rated(item_id: str) -> ItemStats | None:
        stats = (await pipeline.stats()).get(item_id)
        return stats if stats is not None and stats.rating_count == USERS else None

    await pipeline.publish(ITEMS, [an_item(low), an_item(high)])
    worker = await pipeline.start("feed")
    await pipeline.publish(INTERACTIONS, [*ratings(high, 9.0), *ratings(low, 5.0)])
    refusals = await until(letters, what="a dead letter of each rating above the scale")
    assert {(letter.stage, letter.reason) for letter in refusals} == {("user.fold", "out_of_range")}
    assert "from 0 to 5, not 9; RATING_SCALE" in refusals[0].detail
    fives = await until(lambda: rated(low), what="the ratings on the scale")
    assert fives.rating_sum == USERS
    assert high not in await pipeline.stats()
    assert await pipeline.stop(worker) == 0

    await pipeline.start("feed", RATING_SCALE="10")
    status, _, err = await pipeline.millrace("dead-letters", "replay", *[letter.letter_id for letter in refusals])
    assert status == 0, err
    nines = await until(lambda: rated(high), what="the ratings that were sent again")
    assert nines.rating_sum == pytest.approx(USERS * 0.9)
