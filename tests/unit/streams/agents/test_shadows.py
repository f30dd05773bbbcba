"""Shadows: a sample of rankings is compared, feeds stay the same to the byte, and a failure costs no feed."""

from __future__ import annotations

from typing import Any

import pytest

from infra.settings import Settings
from schemas.types import Arm, ArmPause, Experiment, Feed, ShadowComparison
from streams.runtime.arm_params import ExperimentParams, ShadowParams
from tests.broker import Codecs
from tests.build import T0_MS, an_experiment, features
from tests.unit.streams.agents.test_experiment_ranking import BY_POPULARITY, USERS, Rankings, an_ab_test
from topics.topic import DEAD_LETTERS, EXPOSURES, SHADOW_COMPARISONS

ALL = Settings(shadow_share=1.0)


def a_shadow(**fields: Any) -> Experiment:
    arms = [Arm(name="as it is", share=0.5), Arm(name="popular", share=0.5, parameters=BY_POPULARITY)]
    return an_experiment(**({"experiment_id": "s1", "status": "running", "arms": arms, "is_shadow": True} | fields))


async def ranked(*experiments: Experiment, settings: Settings = ALL) -> tuple[dict[str, Feed], list[ShadowComparison]]:
    """Return the feeds of all users under experiments, and the published comparisons."""
    rankings = Rankings(*experiments, settings=settings)
    feeds = await rankings.rank()
    await rankings.world.publisher.flush()
    assert not rankings.world.broker.values(DEAD_LETTERS)
    assert {one.experiment_id for one in rankings.world.broker.values(EXPOSURES)} <= {"x1"}
    comparisons: list[ShadowComparison] = rankings.world.broker.values(SHADOW_COMPARISONS)
    await rankings.world.publisher.close()
    return feeds, comparisons


async def test_feeds_are_equal_to_the_byte_with_and_without_a_shadow() -> None:
    feeds, no_comparisons = await ranked(an_ab_test())
    with_shadow, comparisons = await ranked(an_ab_test(), a_shadow())
    encode = Codecs().codec(Feed).encode
    assert {name: encode(feed) for name, feed in with_shadow.items()} == {
        name: encode(feed) for name, feed in feeds.items()
    }
    assert (len(no_comparisons), len(comparisons)) == (0, len(USERS))
    assert all("s1" not in feed.arms for feed in with_shadow.values())


async def test_a_shadow_ranks_on_top_of_what_is_shown() -> None:
    feeds, comparisons = await ranked(an_ab_test(), a_shadow())
    for one in comparisons:
        assert (one.experiment_id, one.arm, one.features_version) == ("s1", "popular", 1)
        is_shown = feeds[one.user_id].arms["x1"] == "popular"
        assert one.items[0].startswith("pop")
        assert (one.overlap == 1.0) is (one.rank_biased_overlap == 1.0) is is_shown
        assert one.is_first_changed is not is_shown


async def test_a_shadow_with_the_parameters_shown_agrees_exactly() -> None:
    arms = [Arm(name="as it is", share=0.5), Arm(name="same", share=0.5)]
    for settings in (ALL, Settings(shadow_share=1.0, exploration_policy="thompson", exploration_share=1.0)):
        _, comparisons = await ranked(an_ab_test(), a_shadow(arms=arms), settings=settings)
        assert len(comparisons) == len(USERS)
        for one in comparisons:
            assert (one.overlap, one.rank_biased_overlap, one.is_first_changed) == (1.0, 1.0, False)
            assert one.score_difference == 0.0
            assert (one.sources, one.categories) == (one.shown_sources, one.shown_categories)


@pytest.mark.parametrize("status", ["draft", "paused", "completed"])
async def test_only_running_shadows_rank(status: str) -> None:
    _, comparisons = await ranked(a_shadow(status=status))
    assert not comparisons


async def test_a_paused_arm_of_a_shadow_is_not_ranked() -> None:
    first, popular = a_shadow().arms
    paused_arm = Arm(name="paused", share=0.5, parameters=BY_POPULARITY, pauses=[ArmPause(paused_at=T0_MS)])
    _, comparisons = await ranked(a_shadow(arms=[first, popular, paused_arm]))
    assert {one.arm for one in comparisons} == {"popular"}


def sample(params: ExperimentParams, versions: range) -> dict[tuple[str, int], ShadowParams]:
    """Return the parameters of the rankings in the sample, by user and version."""
    return {
        (user_id, version): shadow
        for user_id in USERS
        for version in versions
        if (shadow := params.shadow_of(features(user_id=user_id, version=version), at_ms=T0_MS)) is not None
    }


def test_the_sample_is_a_share_of_rankings_however_many_shadows_there_are() -> None:
    params = ExperimentParams(Settings(shadow_share=0.1))
    shadows = [a_shadow(experiment_id=f"s{number}") for number in range(5)]
    for one in shadows:
        params.put(one)
    rankings = sample(params, range(200))
    assert len(rankings) / (200 * len(USERS)) == pytest.approx(0.1, abs=0.015)
    counts = [sum(one.experiment_id == shadow.experiment_id for one in rankings.values()) for shadow in shadows]
    assert min(counts) > len(rankings) / 5 * 0.75
    again = ExperimentParams(Settings(shadow_share=0.1))
    for one in reversed(shadows):
        again.put(one)
    assert sample(again, range(200)) == rankings
    wider = ExperimentParams(Settings(shadow_share=0.2))
    wider.put(shadows[0])
    assert sample(wider, range(200)).keys() > rankings.keys()
    assert not sample(ExperimentParams(Settings(shadow_share=0.0)), range(200))


def test_a_shadow_has_the_users_of_its_traffic_and_targeting() -> None:
    params = ExperimentParams(ALL)
    params.put(a_shadow(traffic_to=0.5))
    users = {user_id for user_id, _ in sample(params, range(3))}
    assert 5 < len(users) < 35
    params.put(a_shadow(targeting={"city": ["Lisbon"]}))
    assert not sample(params, range(3))


async def test_a_shadow_that_fails_costs_no_feed(caplog: pytest.LogCaptureFixture) -> None:
    rankings = Rankings(settings=ALL)
    rankings.experiments.table.put(
        a_shadow(arms=[Arm(name="as it is", share=0.5), Arm(name="bad", share=0.5, parameters={"fresh": "x"})])
    )
    feeds = await rankings.rank()
    assert feeds.keys() >= set(USERS)
    await rankings.world.publisher.flush()
    assert not rankings.world.broker.values(SHADOW_COMPARISONS)
    assert not rankings.world.broker.values(DEAD_LETTERS)
    assert rankings.ranker.shadows.failure_count == len(USERS)
    assert [one.message for one in caplog.records if "shadow" in one.message] == [
        "a shadow cannot be compared; failures in the heartbeat counts all of them"
    ]
    await rankings.world.publisher.close()
