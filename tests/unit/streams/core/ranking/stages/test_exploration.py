"""Exploration: the propensities of what is shown, its bounds, and that it depends on nothing but its inputs."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from domain.timestamp import DAY_MS, MINUTE_MS
from infra.redis.stores.feed_store import feed_at
from infra.settings import Settings, read_settings
from models.blend.blender import Blender
from schemas.types import Features, Feed
from streams.core.params import ExplorationParams, RankParams
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.ordering import Candidates
from streams.core.ranking.pipeline import build_candidates, new_blender, rank, rank_candidates
from streams.core.ranking.stages.exploration import (
    POLICIES,
    Competitors,
    ContestedPlace,
    contested_places,
    epsilon_greedy,
    exploring_places,
    thompson,
    ucb,
)
from streams.core.ranking.stages.features import PRIOR
from streams.core.ranking.stages.llm_blend import LlmRatings
from streams.runtime.core_params import rank_params
from tests.build import LISBON, T0_MS, an_item, features, stats
from tests.params import LLM_BLEND_PARAMS, RANK_PARAMS

FEED_ITEMS, OLD_ITEMS, NEW_ITEMS = 20, 60, 12
ALL_POLICIES = sorted(POLICIES)
DRAWS = 100_000
RANK_PARAMS_20 = replace(RANK_PARAMS, max_recommendations=FEED_ITEMS)


def params(policy: str = "thompson", **settings: str) -> RankParams:
    """Return the parameters of a feed of twenty items, of which every fifth is contested."""
    env = {"EXPLORATION_POLICY": policy, "EXPLORATION_SHARE": "0.2", "EXPLORATION_AFTER": "0", **settings}
    return replace(rank_params(read_settings(env)), max_recommendations=FEED_ITEMS)


def exploration(policy: str = "thompson", **settings: str) -> ExplorationParams:
    bounds = params(policy, **settings).exploration
    assert bounds is not None
    return bounds


def a_catalog(**new_item: Any) -> CatalogSnapshot:
    """Return a catalog of old items, the most popular first, and of new items without any action."""
    catalog = CatalogSnapshot()
    for n in range(OLD_ITEMS):
        catalog.apply_item(an_item(f"old{n}", created_at=T0_MS - 400 * DAY_MS))
        counts = {"click": 200 - n, "skip": 20}
        row = stats(
            f"old{n}", popularity=-n / 20, trending=-(n * 7 % 60) / 20, counts=counts, first_at=T0_MS - 400 * DAY_MS
        )
        catalog.apply_stats(row)
    for n in range(NEW_ITEMS):
        catalog.apply_item(an_item(f"new{n}", **({"created_at": T0_MS - n * DAY_MS} | new_item)))
    catalog.refresh()
    return catalog


CATALOG = a_catalog()


def fed(user: Features, ranking: RankParams, catalog: CatalogSnapshot = CATALOG, **options: Any) -> Feed:
    return rank(user, catalog, new_blender(), ranking, now_ms=T0_MS, **options)


def contests(ranking: RankParams, catalog: CatalogSnapshot = CATALOG) -> list[ContestedPlace]:
    """Return the contests for the places of a feed."""
    user = features()
    candidates = build_candidates(user, catalog, ranking, at_ms=T0_MS)
    log_odds = np.linspace(0.0, -1.0, len(candidates.items))
    assert ranking.exploration is not None
    order = np.arange(FEED_ITEMS)
    return contested_places(
        [order], candidates.query, candidates.items, log_odds, count=FEED_ITEMS, catalog=catalog,
        params=ranking.exploration,
    )  # fmt: skip


def within_three_errors(count: int, probability: float) -> bool:
    error = math.sqrt(DRAWS * probability * (1.0 - probability))
    return abs(count - DRAWS * probability) <= max(3.0 * error, 1e-9)


@pytest.mark.parametrize("policy", ALL_POLICIES)
def test_the_propensities_of_a_hundred_thousand_draws_are_their_frequencies(policy: str) -> None:
    place = contests(params(policy))[0]
    counts = Counter(place.draw("ann", version) for version in range(DRAWS))
    assert sum(place.probabilities) == pytest.approx(1.0)
    assert len(place.probabilities) > 2
    for index, probability in enumerate(place.probabilities.tolist()):
        assert within_three_errors(counts[index], probability), (index, counts[index], probability)


@pytest.mark.parametrize(
    ("alphas", "betas"),
    [
        ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0]),
        ([40.0, 2.0, 1.1], [40.0, 3.0, 1.9]),
        ([300.0, 0.3, 700.0], [500.0, 0.6, 300.0]),
    ],
)
def test_thompson_sampling_wins_as_often_as_a_draw_from_its_distribution_is_the_highest(
    alphas: list[float], betas: list[float]
) -> None:
    draws = np.random.default_rng(7).beta(alphas, betas, (DRAWS, len(alphas)))
    counts = np.bincount(draws.argmax(axis=1), minlength=len(alphas)) / DRAWS
    probabilities = thompson(Competitors(np.array(alphas), np.array(betas)), exploration())
    assert probabilities == pytest.approx(counts, abs=0.006)


def test_ucb_shows_what_may_be_best_and_a_sure_thing_once_the_rest_is_known() -> None:
    popular, fresh, poor = (500.0, 500.0), (1.0, 1.0), (20.0, 200.0)
    alphas, betas = (np.array(column) for column in zip(popular, fresh, poor, strict=True))
    assert ucb(Competitors(alphas, betas), exploration("ucb")).tolist() == [0.0, 1.0, 0.0]
    assert ucb(Competitors(alphas[[0, 2]], betas[[0, 2]]), exploration("ucb")).tolist() == [1.0, 0.0]


def test_epsilon_greedy_shows_the_highest_mean_but_for_epsilon() -> None:
    competitors = Competitors(np.array([5.0, 1.0, 9.0]), np.array([5.0, 1.0, 1.0]))
    shares = epsilon_greedy(competitors, exploration("epsilon-greedy", EPSILON="0.2"))
    assert shares.tolist() == pytest.approx([0.0, 0.1, 0.9])
    sure = epsilon_greedy(
        Competitors(np.array([5.0, 1.0]), np.array([5.0, 9.0])), exploration("epsilon-greedy", EPSILON="0")
    )
    assert sure.tolist() == [1.0, 0.0]


def test_priors_are_as_the_settings_say() -> None:
    optimistic, pessimistic = (
        contests(params(BANDIT_ALPHA=alpha, BANDIT_BETA=beta))[0].probabilities[0]
        for alpha, beta in (("4", "1"), ("1", "4"))
    )
    assert optimistic < contests(params())[0].probabilities[0] < pessimistic


def test_actions_on_a_new_item_decide_how_often_it_is_shown() -> None:
    catalog = a_catalog()
    before = _probabilities(catalog)
    for name, counts in (("new0", {"click": 9}), ("new4", {"skip": 9})):
        catalog.apply_stats(stats(name, popularity=-9.0, trending=-9.0, counts=counts, first_at=T0_MS))
    catalog.refresh()
    after = _probabilities(catalog)
    assert after["new0"] > 2 * max(before.values())
    assert after["new4"] < 0.2 * max(before.values())


def _probabilities(catalog: CatalogSnapshot) -> dict[str, float]:
    """Return the probability of each new item at its place."""
    items = build_candidates(features(), catalog, params(), at_ms=T0_MS).items
    return {
        catalog.items.names[items[index]]: probability
        for place in contests(params(), catalog)
        for index, probability in zip(place.new_items, place.probabilities[1:].tolist(), strict=True)
    }


def test_no_beginning_of_a_feed_explores_more_than_its_share() -> None:
    for share in (0.05, 0.1, 0.3, 1 / 3, 0.7, 1.0):
        bounds = exploration(EXPLORATION_SHARE=str(share))
        places = exploring_places(bounds, 50)
        assert all(sum(place < length for place in places) <= share * length + 1e-6 for length in range(51))
        assert len(places) == int(50 * share + 1e-6)
    assert exploring_places(exploration(EXPLORATION_SHARE="0.1", EXPLORATION_AFTER="10"), 50) == [19, 29, 39, 49]


@pytest.mark.parametrize("policy", ALL_POLICIES)
def test_a_feed_holds_each_item_once_and_new_items_only_in_contested_places(policy: str) -> None:
    greedy, ranking = fed(features(), RANK_PARAMS_20), params(policy, EPSILON="0.9", EXPLORATION_AFTER="6")
    shown_items = set()
    for version in range(40):
        feed = fed(features(version=version), ranking)
        assert len(set(feed.items)) == len(feed.items) == len(feed.propensities) == FEED_ITEMS
        assert feed.policy == policy
        for place, (item, propensity) in enumerate(zip(feed.items, feed.propensities, strict=True)):
            if place not in (9, 14, 19):
                assert (item, propensity) == (greedy.items[place], 1.0)
            assert 0.0 < propensity <= 1.0
        shown_items |= set(feed.items) - set(greedy.items)
    assert shown_items
    assert all(item.startswith("new") for item in shown_items)


def test_without_a_policy_nothing_is_explored() -> None:
    assert rank_params(Settings()).exploration is None
    feed = fed(features(), RANK_PARAMS_20)
    assert (feed.propensities, feed.policy) == ([], "")


@pytest.mark.parametrize("policy", ALL_POLICIES)
def test_the_same_version_gives_the_same_feed_and_another_may_not(policy: str) -> None:
    ranking = params(policy, EPSILON="0.9")
    again = a_catalog()
    feeds = [fed(features(version=version), ranking) for version in range(20)]
    assert feeds == [fed(features(version=version), ranking) for version in range(20)]
    assert feeds == [fed(features(version=version), ranking, again) for version in range(20)]
    assert (len({tuple(feed.items) for feed in feeds}) > 1) == (policy != "ucb"), "what ucb shows depends on no draw"


def test_users_explore_apart() -> None:
    assert len({tuple(fed(features(user_id=f"u{n}"), params()).items) for n in range(20)}) > 1


def test_what_filters_remove_is_never_explored() -> None:
    always = params("epsilon-greedy", EPSILON="1")
    kept_items = {item for version in range(30) for item in fed(features(version=version), always).items}
    assert {f"new{n}" for n in range(NEW_ITEMS)} <= kept_items
    user = features(muted=["new1"], seen=["new2"], event_count=1)
    catalog = a_catalog()
    catalog.remove_item("new3")
    catalog.apply_item(an_item("new4", stock=0))
    catalog.apply_item(an_item("new5", attributes={"starts": "2020-01-01"}))
    catalog.apply_item(an_item("new6", private=True))
    catalog.apply_item(an_item("new7", cell=LISBON))
    catalog.refresh()
    for version in range(30):
        items = fed(structs.replace(user, version=version), always, catalog).items
        assert not {f"new{n}" for n in range(1, 8)} & set(items), "the last one is tied to a place, and comes last"
        assert {f"new{n}" for n in range(8, NEW_ITEMS)} & set(items)


def test_items_are_new_items_for_as_long_as_the_settings_say() -> None:
    always = params("epsilon-greedy", EPSILON="1", EXPLORATION_DAYS="3.5")
    shown_items = {item for version in range(30) for item in fed(features(version=version), always).items}
    assert {item for item in shown_items if item.startswith("new")} == {"new0", "new1", "new2", "new3"}


def test_a_new_item_that_hardly_anyone_would_prefer_is_not_explored() -> None:
    assert contests(params(EXPLORATION_MIN_PROBABILITY="0.25"))
    assert contests(params(EXPLORATION_MIN_PROBABILITY="0.6")) == []
    feed = fed(features(), params(EXPLORATION_MIN_PROBABILITY="0.9"))
    assert (feed.propensities, feed.policy) == ([], "")


def test_nothing_is_explored_where_the_feed_holds_every_item() -> None:
    whole = replace(params(), max_recommendations=200)
    assert fed(features(), whole).propensities == []


def test_lists_of_given_items_keep_their_order() -> None:
    names = [f"new{n}" for n in range(NEW_ITEMS)] + ["old0"]
    always = params("epsilon-greedy", EPSILON="1")
    assert fed(features(), always, among=names) == fed(features(), RANK_PARAMS_20, among=names)


def later_orders_feed(version: int, ranking: RankParams, **options: Any) -> Feed:
    """Return a feed whose later orders differ from the first."""
    blender = _blender_by_gap()
    user = features(version=version, event_count=10)
    return rank_candidates(_candidates(user, ranking), CATALOG, blender, ranking, now_ms=T0_MS, **options).feed


def _candidates(user: Features, ranking: RankParams) -> Candidates:
    return build_candidates(user, CATALOG, ranking, at_ms=T0_MS)


def _blender_by_gap() -> Blender:
    """Return a blender in which trending items count more to who returns after a minute."""
    blender = new_blender()
    blender.table[blender._rows((0, 4, 0, 0))[2], list(PRIOR).index("trending")] += 0.5
    return blender


@pytest.mark.parametrize("policy", ALL_POLICIES)
def test_all_orders_of_a_feed_explore_the_same_new_items_at_the_same_places(policy: str) -> None:
    ranking, greedy = params(policy, EPSILON="0.9"), later_orders_feed(1, RANK_PARAMS_20)
    assert greedy.orders
    explored_count = 0
    for version in range(20):
        feed = later_orders_feed(version, ranking)
        now, later = feed_at(feed, T0_MS), feed_at(feed, T0_MS + MINUTE_MS)
        assert later.propensities == now.propensities != []
        assert len(set(later.items)) == FEED_ITEMS
        for place, (item, other) in enumerate(zip(now.items, later.items, strict=True)):
            if item.startswith("new"):
                explored_count += 1
                assert other == item
            else:
                assert other == feed_at(greedy, T0_MS + MINUTE_MS).items[place]
    assert explored_count


def test_a_feed_with_scores_of_the_language_model_explores_and_reports_its_terms() -> None:
    llm = LlmRatings({f"old{n}": 0.5 for n in range(30)}, LLM_BLEND_PARAMS)
    always = params("epsilon-greedy", EPSILON="1")
    feed = later_orders_feed(1, always, llm=llm)
    assert any(item.startswith("new") for item in feed.items)
    assert len(feed.ml_scores) == len(feed.items)
    plain = later_orders_feed(1, RANK_PARAMS_20, llm=llm)
    scores = dict(zip(plain.items, plain.scores, strict=True))
    assert all(scores[item] == score for item, score in zip(feed.items, feed.scores, strict=True) if item in scores)
