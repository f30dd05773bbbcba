"""Served feeds: which actions are outcomes, and the feeds that they are choices from."""

from __future__ import annotations

import numpy as np
import pytest

from domain.timestamp import DAY_MS, MINUTE_MS
from models.blend.fallback import LISTED
from schemas.types import FeedItems, FeedOrder
from streams.core.ranking.choice_set import ChoiceSet
from streams.core.ranking.served_feeds import VISIT_MS, ServedFeed, ServedFeeds
from streams.core.ranking.stages.features import FEATURES
from tests.build import T0_MS, a_feed

ITEMS = [f"i{n}" for n in range(12)]


def served(items: list[str] = ITEMS, *, at_ms: int = T0_MS) -> ServedFeed:
    feed = a_feed(items=items, watermark=at_ms, generated_at=at_ms)
    return ServedFeed.of(feed, ChoiceSet.of(items, np.zeros((len(FEATURES), len(items)), np.float32), [(0, (0,))]))


class User:
    """A user with a feed."""

    def __init__(self, feeds: ServedFeeds, user_id: str = "u1") -> None:
        self.feeds, self.user_id = feeds, user_id
        feeds.put(user_id, served())

    def rank(self, items: list[str], *, minute: int) -> None:
        self.feeds.put(self.user_id, served(items, at_ms=T0_MS + minute * MINUTE_MS))

    def act(self, item_id: str, *, minute: int, is_positive: bool = True) -> int | None:
        """Return the rank of the outcome, if the action is one."""
        at_ms = T0_MS + minute * MINUTE_MS
        outcome = self.feeds.act(self.user_id, item_id, at_ms=at_ms, is_positive=is_positive)
        return None if outcome is None else outcome.rank


@pytest.fixture
def user() -> User:
    return User(ServedFeeds())


def test_an_outcome_has_the_rank_in_the_list_and_one_beyond_it_is_a_miss(user: User) -> None:
    assert [user.act(item, minute=1) for item in ("i0", "i3", "i11", "unknown")] == [0, 3, LISTED, LISTED]


def test_a_visit_is_one_outcome_of_the_feed_from_which_the_item_was_opened(user: User) -> None:
    assert user.act("i1", minute=1, is_positive=False) is None
    user.rank(["other"], minute=1)
    assert [user.act("i1", minute=minute) for minute in (2, 3)] == [1, None]
    assert user.act("i1", minute=4 + VISIT_MS // MINUTE_MS) == LISTED, "a later visit is an outcome of its own"


def test_a_visit_that_began_before_an_outcome_of_another_item_goes_on(user: User) -> None:
    user.act("i1", minute=1, is_positive=False)
    user.act("i2", minute=2)
    user.rank(["other"], minute=2)
    assert user.act("i1", minute=3) == 1


def test_an_action_from_before_the_feed_is_no_choice_from_it(user: User) -> None:
    user.rank(ITEMS, minute=5)
    assert user.act("i1", minute=4) is None
    assert user.act("i1", minute=5) == 1, "within the time of the last event, the feed may have been read already"


def test_the_order_shown_after_the_time_away_counts() -> None:
    feed = a_feed(
        items=["a", "b"],
        others=FeedItems(items=["c"], scores=[0.0], sources=["x"], reasons=[""], parts={}),
        orders=[FeedOrder(from_ms=DAY_MS, indices=[2, 1, 0])],
        watermark=T0_MS,
    )
    values, contexts = np.zeros((len(FEATURES), 3), np.float32), [(0, (1,)), (DAY_MS, (2,))]
    feeds = ServedFeeds()
    feeds.put("u1", ServedFeed.of(feed, ChoiceSet.of(["a", "b", "c"], values, contexts)))
    outcomes = [
        feeds.act("u1", item, at_ms=T0_MS + away_ms, is_positive=True) for item, away_ms in (("a", 1), ("c", DAY_MS))
    ]
    assert [one and one.rank for one in outcomes] == [0, 0]
    contexts_then = [one and one.feed.choice_set.context(one.at_ms - one.feed.watermark) for one in outcomes]
    assert contexts_then == [(1,), (2,)]


def test_newcomers_choose_from_the_default_feed() -> None:
    feeds = ServedFeeds()
    assert feeds.act("new", "i1", at_ms=T0_MS, is_positive=True) is None, "nothing has been shown so far"
    feeds.put_default(served(at_ms=T0_MS + DAY_MS))
    outcome = feeds.act("new", "i1", at_ms=T0_MS, is_positive=True)
    assert outcome is not None
    assert outcome.rank == 1
    assert "new" in feeds


def test_users_ranked_longest_ago_and_all_after_a_rebalance_are_forgotten() -> None:
    feeds = ServedFeeds(users=2)
    first, _, third = (User(feeds, user_id) for user_id in ("a", "b", "c"))
    assert third.act("i0", minute=1) == 0
    assert first.act("i0", minute=1) is None
    feeds.forget()
    assert third.act("i1", minute=1) is None


def test_visits_in_memory_are_bounded(user: User) -> None:
    for number in range(1_000):
        user.act(f"v{number}", minute=1, is_positive=False)
    user.rank(["v0"], minute=2)
    assert user.act("v0", minute=3) == 0, "its visit is forgotten, so that the action begins another"
    assert user.act("v999", minute=3) == LISTED
