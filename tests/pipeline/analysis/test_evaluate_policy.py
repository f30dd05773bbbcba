"""`millrace evaluate-policy` over outcomes in Kafka."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra import clock
from infra.address import Addresses
from schemas.types import Outcome
from tests.pipeline.pipeline import Pipeline, a_pipeline
from topics.topic import OUTCOMES

LISTS = 200


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        yield pipeline


def an_outcome(number: int, place: int, *, propensity: float, clicks: int = 0) -> Outcome:
    at_ms = clock.now_ms()
    return Outcome(
        user_id=f"u{number % 20}",
        outcome_id=f"e{number}:{place}",
        item_id=f"i{place}",
        place=place,
        policy="epsilon-greedy",
        propensity=propensity,
        shown_at=at_ms - 1,
        closed_at=at_ms,
        clicks=clicks,
    )


def outcomes() -> list[Outcome]:
    """Return lists in every tenth of which the second place has a new item, which is clicked."""
    return [
        one
        for number in range(LISTS)
        for one in (
            an_outcome(number, 0, propensity=1.0, clicks=number % 2),
            an_outcome(number, 1, propensity=0.9 if number % 10 else 0.1 / 2, clicks=0 if number % 10 else 1),
        )
    ]


async def test_the_value_of_another_epsilon_comes_from_the_last_outcomes_of_contested_places(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    config = tmp_path / "candidate.env"
    config.write_text("EXPLORATION_POLICY=epsilon-greedy\nEPSILON=0.2\n")
    arguments = ("evaluate-policy", "--config", str(config), "--from", "1h")
    status, _, err = await pipeline.millrace(*arguments)
    assert status == 1
    assert "No outcome of epsilon-greedy has a propensity below 1" in " ".join(err.split())
    early = [an_outcome(number, 1, propensity=0.9) for number in range(LISTS)]
    await pipeline.publish(OUTCOMES, [*early, *outcomes()])
    status, out, err = await pipeline.millrace(*arguments, "--json")
    assert status == 0, err
    document = json.loads(out)
    assert document["report"]["rounds"] == LISTS
    assert document["report"]["users"] == 20
    assert document["report"]["logged"]["value"] == pytest.approx(0.1)
    assert document["report"]["estimates"]["ips"]["value"] == pytest.approx(0.2)
    assert document["lists"]["cascade-dr"]["value"] == pytest.approx(0.7, abs=0.05)
