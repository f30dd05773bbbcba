"""Results of experiments on a real archive: the sums are those of the outcomes, and a bad arm ends the experiment."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Sequence
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from domain.experiment_results import ArmFigures, ExperimentResults, MetricFigures
from domain.timestamp import DAY_MS, utc_time
from infra import clock
from infra.address import Addresses
from infra.experiments.definition import changed
from infra.experiments.experiment_sums import PostgresExperimentSums, SumsQuery, experiment_sums
from infra.fakes.memory_publisher import MemoryPublisher
from infra.postgres.month_partitions import MonthPartitions
from infra.redis.connection import connect
from infra.redis.metrics.experiment_results_store import RedisExperimentResultsStore
from infra.redis.stores.experiment_store import RedisExperimentStore
from schemas.arm_pause import is_paused
from schemas.types import Arm, ArmPause, Experiment, Outcome
from streams.core.experiment_results.guardrail import Guardrail
from streams.roles.archive.arm_pauser import ArmPauser
from streams.roles.archive.experiment_guard import ExperimentGuard
from streams.roles.archive.experiment_judge import ExperimentJudge
from tests.build import T0_MS, an_experiment
from tests.pipeline.pipeline import a_pipeline, until
from topics.topic import EXPERIMENTS, OUTCOMES

_COLUMNS = (
    *("shown_at", "user_id", "outcome_id", "item_id", "place", "category", "arms"),
    *("clicks", "dislikes", "skips", "conversions", "dwell_ms"),
)
_POSITION = ("appended_at", "topic", "partition", '"offset"')
_VALUES = [f"${number}" for number in range(1, len(_COLUMNS) + 1)]
_EARLY_INSERT = f"""
INSERT INTO early_outcomes ({", ".join((*_COLUMNS, *_POSITION))}) VALUES ({", ".join(_VALUES)}, $1, '', 0, 0)
"""
_INSERT = f"""
INSERT INTO outcomes ({", ".join((*_COLUMNS, *_POSITION))}, surface, source, model, policy, features_version, closed_at,
                      likes, is_reported)
VALUES ({", ".join(_VALUES)}, $1, '', 0, 0, '', '', '', '', -1, $1, 0, true)
"""
Row = tuple[Any, ...]


@pytest.fixture
async def archive(pool: asyncpg.Pool) -> asyncpg.Pool:
    """The archive, with partitions for the times of the tests."""
    async with pool.acquire() as connection:
        days = [utc_time(T0_MS + day * DAY_MS) for day in (-29, 0, 1)]
        for table in ("outcomes", "early_outcomes"):
            await MonthPartitions(table, days=1e6).prepare(connection, days)
    return pool


def a_row(user: str, list_id: str, place: int, at_ms: int = T0_MS, *, arm: str | None = "blend", **values: Any) -> Row:
    """Return the row of an outcome."""
    numbers = {"clicks": 0, "dislikes": 0, "skips": 0, "conversions": 0, "dwell_ms": 0} | values
    arms = {} if arm is None else {"x1": arm, "other": "a"}
    item = f"i{place}"
    return (utc_time(at_ms), user, f"{list_id}:{place}", item, place, f"c{place % 2}", arms, *numbers.values())


async def insert(archive: asyncpg.Pool, rows: Iterable[Row], statement: str = _INSERT) -> None:
    all_rows = list(rows)
    for start in range(0, len(all_rows), 20_000):
        await archive.executemany(statement, all_rows[start : start + 20_000])


def sums_of(users: Sequence[Sequence[float]]) -> list[float]:
    """Return the sums of users' totals, and of their products."""
    pairs = combinations_with_replacement(range(4), 2)
    sums = [sum(user[index] for user in users) for index in range(4)]
    return [*sums, *(sum(user[one] * user[other] for user in users) for one, other in pairs)]


async def test_the_sums_are_those_of_the_users_of_each_arm(archive: asyncpg.Pool) -> None:
    await insert(
        archive,
        [
            a_row("ann", "e0", 0, T0_MS - DAY_MS, arm=None, clicks=1),
            a_row("ann", "e0", 1, T0_MS - DAY_MS, arm=None),
            a_row("ann", "e0", 2, T0_MS - 29 * DAY_MS, arm=None, clicks=1),
            a_row("ann", "a:1", 0, clicks=3, dwell_ms=500),
            a_row("ann", "a:1", 1, skips=1),
            a_row("ann", "a:1", 2, clicks=1, conversions=2),
            a_row("ann", "e2", 0, T0_MS + DAY_MS),
            a_row("bob", "e3", 0, dislikes=1),
            a_row("cas", "e4", 1, arm="popular", clicks=1),
            a_row("dan", "e5", 0),
            a_row("dan", "e6", 0, arm="popular"),
            a_row("eve", "e7", 0, arm=None, clicks=1),
        ],
    )
    sums = await experiment_sums(archive, SumsQuery(experiment_id="x1"))
    assert sums is not None
    assert sums.start_ms == T0_MS
    assert sums.users_of_several_arms == 1
    assert {name: one.users for name, one in sums.arms.items()} == {"blend": 2, "popular": 1}
    blend = sums.arms["blend"].sums
    assert blend["click_through_rate"] == sums_of([(2, 4, 1, 2), (0, 1, 0, 0)])
    assert blend["conversion_rate"] == sums_of([(1, 1, 0, 1), (0, 1, 0, 1)])
    assert blend["dwell_ms"] == sums_of([(500, 4, 0, 2), (0, 1, 0, 0)])
    assert blend["skip_rate"] == sums_of([(1, 4, 0, 2), (0, 1, 0, 0)])
    assert blend["dislike_rate"] == sums_of([(0, 4, 0, 2), (1, 1, 0, 0)])
    assert blend["items_shown"] == sums_of([(4, 1, 2, 1), (1, 1, 0, 1)])
    ndcg = (1 + 1 / math.log2(4)) / (1 + 1 / math.log2(3))
    assert blend["ndcg"] == pytest.approx(sums_of([(ndcg, 1, 0, 1), (0, 0, 0, 1)]))
    assert blend["diversity"] == pytest.approx(sums_of([(1 / 2, 1, 0, 1), (0, 0, 0, 1)]))
    shares = {"i0": 5 / 8, "i1": 2 / 8, "i2": 1 / 8}
    bits = {item: -math.log2(share) for item, share in shares.items()}
    ann = 2 * bits["i0"] + bits["i1"] + bits["i2"]
    assert blend["novelty"] == pytest.approx(sums_of([(ann, 4, 0, 1), (bits["i0"], 1, 0, 1)]))
    later = await experiment_sums(archive, SumsQuery(experiment_id="x1", start_ms=T0_MS + DAY_MS))
    assert later is not None
    assert later.arms["blend"].sums["click_through_rate"] == sums_of([(0, 1, 3, 5)])
    from_pause = await experiment_sums(archive, SumsQuery(experiment_id="x1", from_ms=T0_MS + DAY_MS))
    assert from_pause is not None
    assert (from_pause.start_ms, list(from_pause.arms)) == (T0_MS, ["blend"])
    assert from_pause.arms["blend"].sums["click_through_rate"] == sums_of([(0, 1, 1, 2)])
    until_pause = await experiment_sums(archive, SumsQuery(experiment_id="x1", until_ms=T0_MS + 1))
    assert until_pause is not None
    assert until_pause.arms["blend"].sums["click_through_rate"] == sums_of([(2, 3, 1, 2), (0, 1, 0, 0)])
    assert await experiment_sums(archive, SumsQuery(experiment_id="x2")) is None
    assert await experiment_sums(archive, SumsQuery(experiment_id="x2", start_ms=T0_MS)) is None


async def test_the_users_who_came_first_and_before_a_pause_are_counted_apart(archive: asyncpg.Pool) -> None:
    rows = [a_row(f"u{n}", f"e{n}", 0, T0_MS + n, arm=("blend", "popular")[n % 2]) for n in range(9)]
    await insert(archive, [*rows, a_row("u0", "e9", 0, T0_MS + 9)])
    await insert(archive, [a_row("several", "e", 0, arm="blend"), a_row("several", "f", 0, arm="popular")])
    query = SumsQuery(experiment_id="x1", first_pause_ms=T0_MS + 6, sample_size=3)
    sums = await experiment_sums(archive, query)
    assert sums is not None
    counts = {name: (one.users, one.users_before, one.sample_users) for name, one in sums.arms.items()}
    assert counts == {"blend": (5, 3, 2), "popular": (4, 3, 1)}


def shown_lists(*, users: int, rates: dict[str, float | None], at_ms: int = T0_MS) -> Iterable[Row]:
    """Yield the outcomes of users, divided among arms, who act on the first places of their lists, if they come."""
    for number in range(users):
        arm = sorted(rates)[number % len(rates)]
        rate = rates[arm]
        liked_count = 20 * rate + number // len(rates) % 3 - 1 if rate else 0
        for place in range(0 if rate is None else 20):
            shown_at, clicks = at_ms + number * 1_000, int(place < liked_count)
            yield a_row(f"u{number}", f"{at_ms}-{number}", place, shown_at, arm=arm, clicks=clicks)


GUARDRAILS = [Guardrail("click_through_rate", -0.2)]


def a_pauser(redis: Redis, publisher: MemoryPublisher, *, at_ms: int = T0_MS + DAY_MS) -> ArmPauser:
    return ArmPauser(RedisExperimentStore(redis), publisher, lambda: at_ms)


def a_judge(archive: asyncpg.Pool, redis: Redis, pauser: ArmPauser) -> ExperimentJudge:
    return ExperimentJudge(
        PostgresExperimentSums(archive),
        RedisExperimentStore(redis),
        RedisExperimentResultsStore(redis),
        pauser,
        guardrails=GUARDRAILS,
        settle_ms=DAY_MS // 2,
        now_ms=lambda: T0_MS + DAY_MS,
    )


async def test_a_harmful_arm_is_paused_by_early_outcomes_and_may_try_again(archive: asyncpg.Pool, redis: Redis) -> None:
    definitions, publisher = RedisExperimentStore(redis), MemoryPublisher()
    names = ("as it is", "bad", "good")
    arms = [Arm(name=name, share=1 / 3) for name in names]
    experiment = an_experiment(status="running", arms=arms)
    await definitions.write([experiment])
    pauser = a_pauser(redis, publisher, at_ms=T0_MS + 3_600_000)
    sums = PostgresExperimentSums(archive, "early_outcomes")
    guard = ExperimentGuard(sums, definitions, pauser, guardrails=GUARDRAILS)
    await guard.judge()
    rates: dict[str, float | None] = {"as it is": 0.2, "bad": 0.0, "good": 0.2}
    await insert(archive, shown_lists(users=360, rates=rates), _EARLY_INSERT)
    await insert(archive, shown_lists(users=3_600, rates=dict.fromkeys(names, 0.2)))
    for _ in range(2):
        await guard.judge()
    [new] = publisher.values_of(EXPERIMENTS)
    assert (new.status, pauser.paused_count) == ("running", 1)
    assert [len(arm.pauses) for arm in new.arms] == [0, 1, 0]
    assert new.arms[1].pauses[0] == ArmPause(
        paused_at=T0_MS + 3_600_000,
        reason="guardrail: click_through_rate -100% against the first arm, beyond -20% (120 and 120 users)",
    )
    judge, results = a_judge(archive, redis, pauser), RedisExperimentResultsStore(redis)
    rates = {"as it is": 0.5, "bad": None, "good": 0.5}
    await insert(archive, shown_lists(users=3_600, rates=rates, at_ms=T0_MS + 7_200_000))
    await judge.judge()
    found_results = await results.read("x1")
    assert found_results is not None
    assert [arm.users for arm in found_results.arms] == [1_200, 1_200, 1_200]
    assert found_results.arms[1].metrics["click_through_rate"].lift == pytest.approx(0.0), "until the pause"
    assert not found_results.has_sample_ratio_mismatch
    assert pauser.paused_count == 1

    experiment = changed(new, {"occurred_at": T0_MS + 7_200_000}, [new], paused_arms=[])
    await definitions.write([experiment])
    await guard.judge()
    assert pauser.paused_count == 1, "only what followed the resumption counts"
    rates = {"as it is": 0.2, "bad": 0.2, "good": 0.0}
    await insert(archive, shown_lists(users=360, rates=rates, at_ms=T0_MS + 8_000_000), _EARLY_INSERT)
    await guard.judge()
    last = publisher.values_of(EXPERIMENTS)[-1]
    assert last.status == "running"
    assert [is_paused(arm) for arm in last.arms] == [False, False, True]
    await insert(archive, shown_lists(users=720, rates=rates | {"bad": 0.0}, at_ms=T0_MS + 9_000_000), _EARLY_INSERT)
    await guard.judge()
    last = publisher.values_of(EXPERIMENTS)[-1]
    assert last.status == "paused", "no other arm is left"
    assert [is_paused(arm) for arm in last.arms] == [False, True, True]


async def test_an_arm_beyond_a_guardrail_pauses_the_experiment_at_the_next_turn(
    archive: asyncpg.Pool, redis: Redis
) -> None:
    definitions, results = RedisExperimentStore(redis), RedisExperimentResultsStore(redis)
    experiment = an_experiment(status="running", metric="click_through_rate")
    await definitions.write([experiment, an_experiment(experiment_id="x2", status="running")])
    publisher = MemoryPublisher()
    pauser = a_pauser(redis, publisher)
    judge = a_judge(archive, redis, pauser)
    await judge.judge()
    assert await results.read("x1") is None
    await insert(archive, shown_lists(users=2_000, rates={"blend": 0.4, "popular": 0.4}))
    await judge.judge()
    first = await results.read("x1")
    assert first is not None
    assert [arm.users for arm in first.arms] == [1_000, 1_000]
    assert pauser.paused_count == 0
    await archive.execute("""UPDATE outcomes SET clicks = 0 WHERE arms ->> 'x1' = 'popular' AND place % 2 = 0""")
    await insert(archive, [a_row("zoe", "z", 0, arm="popular", clicks=1), a_row("yan", "y", 1, clicks=0)])
    await judge.judge()
    found_results = await results.read("x1")
    assert found_results is not None
    assert found_results.arms[1].breaches == ["click_through_rate"]
    (paused_experiment,) = publisher.values_of(EXPERIMENTS)
    assert isinstance(paused_experiment, Experiment)
    assert paused_experiment.status == "paused", "no other arm is left"
    assert [is_paused(arm) for arm in paused_experiment.arms] == [False, True]
    assert paused_experiment.occurred_at > experiment.occurred_at
    assert {one.experiment_id: one.status for one in await definitions.read()} == {"x1": "paused", "x2": "running"}
    await insert(archive, shown_lists(users=20, rates={"blend": 0.4, "popular": 0.4}, at_ms=T0_MS + 9_000_000))
    await judge.judge()
    assert pauser.paused_count == 1
    last_results = await results.read("x1")
    assert last_results is not None
    assert last_results.arms[0].metrics["click_through_rate"] != found_results.arms[0].metrics["click_through_rate"], (
        "outcomes close after the pause"
    )


async def test_the_command_shows_results(stack: Addresses, tmp_path: Path) -> None:
    figures = MetricFigures(value=0.25, low=0.2, high=0.3, lift=-0.31, lift_low=-0.4, lift_high=-0.21, p_value=0.001)
    results = ExperimentResults(
        experiment_id="x1",
        computed_at=T0_MS,
        since=T0_MS,
        control="blend",
        metric="ndcg",
        arms=[
            ArmFigures(name="blend", share=0.5, users=1_500, metrics={"ndcg": MetricFigures(value=0.36)}),
            ArmFigures(name="popular", share=0.5, users=1_000, metrics={"ndcg": figures}, breaches=["ndcg"]),
        ],
        users_of_several_arms=3,
        sample_ratio_p=1e-9,
        has_sample_ratio_mismatch=True,
    )
    async with a_pipeline(stack, tmp_path) as pipeline:
        connection = connect(pipeline.addresses.redis_url)
        await RedisExperimentResultsStore(connection).write(results)
        await connection.aclose()
        status, out, err = await pipeline.millrace("experiments", "results", "x1")
        assert status == 0, err
        for text in (
            "ndcg (decides)",
            "-31.0%",
            "-40.0% to -21.0%",
            "(guardrail)",
            "3 users of several arms",
            "trust none",
        ):
            assert text in out
        status, out, err = await pipeline.millrace("experiments", "results", "x1", "--json")
        assert json.loads(out)["arms"][1]["metrics"]["ndcg"]["p_value"] == 0.001
        status, _, err = await pipeline.millrace("experiments", "results", "x9")
        assert status == 1
        assert "has no results" in err


def an_outcome(user: int, place: int, at_ms: int) -> Outcome:
    """Return the outcome of an item: of the arm `popular` users click half as much."""
    arm = ("blend", "popular")[user % 2]
    return Outcome(
        user_id=f"u{user}",
        outcome_id=f"e{user}:{place}",
        item_id=f"i{place}",
        place=place,
        arms={"x1": arm},
        shown_at=at_ms,
        closed_at=at_ms + 1,
        clicks=int(place < (5 if arm == "blend" else 2) + user // 2 % 3),
    )


async def test_outcomes_of_a_bad_arm_pause_the_experiment_within_a_minute(stack: Addresses, tmp_path: Path) -> None:
    async with a_pipeline(stack, tmp_path) as pipeline:
        await pipeline.start("archive,log")
        await pipeline.publish(EXPERIMENTS, [an_experiment(status="running", occurred_at=clock.now_ms())])
        at_ms = clock.now_ms() - 60_000
        values = [an_outcome(user, place, at_ms) for user in range(600) for place in range(12)]
        await pipeline.publish(OUTCOMES, values)
        began_s = time.monotonic()

        async def is_paused() -> bool:
            return (await pipeline.read(EXPERIMENTS))[-1].status == "paused"

        await until(is_paused, timeout_s=120.0, what="the pause of the experiment")
        print(f"paused after {time.monotonic() - began_s:.0f} s")
        status, out, err = await pipeline.millrace("experiments", "results", "x1", "--json")
        assert status == 0, err
        results = json.loads(out)
        assert [arm["users"] for arm in results["arms"]] == [300, 300]
        assert results["arms"][1]["breaches"] == ["click_through_rate"]


async def test_results_of_200_000_outcomes_take_a_second_or_two(archive: asyncpg.Pool) -> None:
    await insert(archive, shown_lists(users=10_000, rates={"blend": 0.4, "popular": 0.3}))
    began_s = time.perf_counter()
    sums = await experiment_sums(archive, SumsQuery(experiment_id="x1", start_ms=T0_MS, sample_size=10_000))
    took_s = time.perf_counter() - began_s
    print(f"{took_s:.2f} s")
    assert sums is not None
    assert took_s < 10, "a turn takes too long to pause an experiment within a minute"
