"""Online evaluation: what counts as an outcome, and which list it is held against."""

from __future__ import annotations

from math import log2

import pytest

from domain.timestamp import MINUTE_MS
from models.blend.fallback import LISTED
from schemas.types import Features, RecentItem
from streams.core.ranking.online_evaluation import VISIT_MS, OnlineEvaluation
from tests.build import T0_MS, a_feed

ITEMS = [f"i{n}" for n in range(12)]
CLICK, VIEW = 1.0, 0.3


class User:
    """A user, ranked after each action; the feed is the same list every time."""

    def __init__(self, evaluation: OnlineEvaluation, user_id: str = "u1") -> None:
        self.evaluation, self.user_id = evaluation, user_id
        self.recent: list[RecentItem] = []
        self.rank(T0_MS)

    def act(self, item_id: str, *, minute: int, weight: float = CLICK, rank: bool = True) -> None:
        at_ms = T0_MS + minute * MINUTE_MS
        self.recent.insert(0, RecentItem(item_id=item_id, weight=weight, at=at_ms))
        if rank:
            self.rank(at_ms)

    def rank(self, at_ms: int, items: list[str] = ITEMS) -> None:
        feed = a_feed(user_id=self.user_id, items=items, watermark=at_ms, generated_at=at_ms)
        features = Features(
            user_id=self.user_id, version=at_ms, watermark=at_ms, event_count=0, recent=list(self.recent)
        )
        self.evaluation.add(feed, features)


@pytest.fixture
def evaluation() -> OnlineEvaluation:
    return OnlineEvaluation(interval_ms=10 * MINUTE_MS)


def total(evaluation: OnlineEvaluation) -> tuple[int, int, float]:
    figures = evaluation.drain().values()
    return sum(one.outcomes for one in figures), sum(one.hits for one in figures), sum(one.gain for one in figures)


def test_a_hit_gains_by_its_rank_and_a_miss_nothing(evaluation: OnlineEvaluation) -> None:
    user = User(evaluation)
    user.act("i0", minute=1)
    user.act("i3", minute=2)
    user.act("i11", minute=3)
    user.act("unknown", minute=4)
    assert total(evaluation) == (4, 2, pytest.approx(1.0 + 1.0 / log2(5)))


def test_several_actions_between_two_rankings_are_held_against_the_list_before(evaluation: OnlineEvaluation) -> None:
    user = User(evaluation)
    user.act("i0", minute=1, rank=False)
    user.act("i1", minute=2, rank=False)
    user.rank(T0_MS + 2 * MINUTE_MS, ["other"])
    assert total(evaluation)[:2] == (2, 2)
    user.act("i2", minute=3)
    assert total(evaluation)[:2] == (1, 0)


def test_a_visit_is_one_outcome_at_the_place_where_it_began(evaluation: OnlineEvaluation) -> None:
    user = User(evaluation)
    user.act("i1", minute=1, weight=VIEW, rank=False)
    user.rank(T0_MS + MINUTE_MS, ["other"])
    assert total(evaluation)[0] == 0
    for minute in (2, 3):
        user.act("i1", minute=minute)
    assert total(evaluation) == (1, 1, pytest.approx(1.0 / log2(3)))
    user.act("i1", minute=4 + VISIT_MS // MINUTE_MS)
    assert total(evaluation)[0] == 1, "a later visit is an outcome of its own"


def test_actions_that_are_known_already_and_the_first_list_judge_nothing(evaluation: OnlineEvaluation) -> None:
    user = User(evaluation)
    user.act("i0", minute=1)
    assert total(evaluation)[0] == 1
    user.rank(T0_MS + MINUTE_MS)
    assert total(evaluation)[0] == 0
    newcomer = User(evaluation, "u2")
    newcomer.act("i0", minute=1, weight=-2.0)
    assert total(evaluation)[0] == 0


def test_figures_are_by_interval_and_come_back_when_they_are_not_stored(evaluation: OnlineEvaluation) -> None:
    user = User(evaluation)
    user.act("i0", minute=1)
    user.act("i1", minute=25)
    figures = evaluation.drain()
    first = T0_MS // (10 * MINUTE_MS)
    assert [(number - first, one.outcomes) for number, one in sorted(figures.items()) if one.outcomes] == [
        (0, 1),
        (2, 1),
    ]
    assert figures[first].items == set(ITEMS[:LISTED])
    user.act("i2", minute=26)
    evaluation.put_back(figures)
    assert total(evaluation)[:2] == (3, 3)
    assert evaluation.drain() == {}


def test_users_ranked_longest_ago_are_forgotten_first() -> None:
    evaluation = OnlineEvaluation(interval_ms=MINUTE_MS, users=2)
    first, _, third = (User(evaluation, user_id) for user_id in ("a", "b", "c"))
    third.act("i0", minute=1)
    assert total(evaluation)[0] == 1
    first.act("i0", minute=1)
    assert total(evaluation)[0] == 0
