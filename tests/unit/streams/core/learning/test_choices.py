"""Choices: what a record of a choice holds, and what is learned from it."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec import structs

from models.blend.personal import PersonalWeights
from schemas import record_limit
from schemas.limit import OutOfRangeError
from schemas.types import Choice, Feed
from streams.core.learning.choices import choice_record, learn_choice, learn_outcome
from streams.core.ranking.choice_set import ChoiceSet
from streams.core.ranking.ordering import Candidates, weights_for
from streams.core.ranking.pipeline import build_candidates, new_blender, rank_candidates
from streams.core.ranking.served_feeds import FeedChoice, ServedFeed
from streams.core.ranking.stages.features import FEATURES
from tests.build import T0_MS, a_choice, an_interaction
from tests.unit.streams.core.ranking.ranking_world import PARAMS, a_fan_of, a_view

VIEW = a_view(items=200)


def candidates() -> Candidates:
    person = a_fan_of("i0")
    return build_candidates(person, VIEW, PARAMS, at_ms=person.watermark)


def ranked() -> tuple[Feed, ChoiceSet]:
    result = rank_candidates(candidates(), VIEW, new_blender(), PARAMS, now_ms=T0_MS)
    return result.feed, result.choice_set


def choice_of(item_id: str, *, away_ms: int = 0) -> Choice | None:
    feed, choice_set = ranked()
    at_ms = feed.watermark + away_ms
    outcome = FeedChoice(item_id, ServedFeed.of(feed, choice_set), at_ms)
    return choice_record(outcome, an_interaction(item_id=item_id, occurred_at=at_ms), share=0.5)


def test_a_choice_holds_the_features_with_which_its_items_were_ranked() -> None:
    feed, _ = ranked()
    item_id = feed.items[2]
    choice = choice_of(item_id)
    assert choice is not None
    assert (choice.item_id, choice.rank, choice.share, choice.user_id) == (item_id, 2, 0.5, "u1")
    assert set(choice.items) >= set(feed.items)
    record_limit.check(choice, now_ms=T0_MS * 2)
    look = candidates()
    whole = look.features.column(slice(None))
    columns = [look.items.tolist().index(VIEW.items.get(item)) for item in choice.items]
    values = np.frombuffer(choice.values, "<f2").reshape(len(choice.features), -1)
    names = list(FEATURES)
    for name, row in zip(choice.features, values, strict=True):
        assert row == pytest.approx(whole[names.index(name), columns], rel=1e-3, abs=1e-3)
    same = [name for name in FEATURES if name not in choice.features]
    for name in same:
        assert np.ptp(whole[names.index(name), columns].astype(np.float16)) == 0.0


def test_an_item_that_the_feed_did_not_hold_is_no_choice() -> None:
    assert choice_of("elsewhere") is None


def test_the_context_is_that_of_the_order_shown_after_the_time_away() -> None:
    feed, choice_set = ranked()
    contexts = dict(choice_set.contexts)
    for away_ms in (0, max(contexts)):
        choice = choice_of(feed.items[0], away_ms=away_ms)
        assert choice is not None
        assert tuple(choice.context) == contexts[away_ms]


def test_weights_learned_from_the_record_are_those_learned_from_the_candidates() -> None:
    feed, _ = ranked()
    choice = choice_of(feed.items[2])
    assert choice is not None
    look = candidates()
    context = choice.context
    by_record, by_candidates = PersonalWeights(new_blender()), PersonalWeights(new_blender())
    learn_choice(by_record, structs.replace(choice, share=1.0))
    members = np.sort([look.items.tolist().index(VIEW.items.get(item)) for item in choice.items])
    place = look.items[members].tolist().index(VIEW.items.get(choice.item_id))
    by_candidates.learn("u1", look.features.subset(members), place, tuple(context))
    assert by_record.blender.table == pytest.approx(by_candidates.blender.table, abs=2e-3)
    assert by_record.offset("u1") == pytest.approx(by_candidates.offset("u1"), abs=2e-3)
    assert not np.array_equal(by_record.blender.table, new_blender().table)


def test_features_of_another_release_are_passed_over() -> None:
    choice = a_choice()
    values = np.frombuffer(choice.values, "<f2").reshape(2, -1)
    more = np.vstack([values, [[3.0, 2.0, 1.0, 0.0]]]).astype("<f2")
    with_more = structs.replace(choice, features=[*choice.features, "of another release"], values=more.tobytes())
    usual, other = PersonalWeights(new_blender()), PersonalWeights(new_blender())
    learn_choice(usual, choice)
    learn_choice(other, with_more)
    np.testing.assert_array_equal(usual.blender.table, other.blender.table)


@pytest.mark.parametrize(
    ("change", "field"), [({"values": b"\0"}, "values"), ({"item_id": "elsewhere"}, "items"), ({"share": 1.5}, "share")]
)
def test_a_choice_that_cannot_be_one_is_refused(change: dict[str, object], field: str) -> None:
    with pytest.raises(OutOfRangeError, match=field):
        record_limit.check(structs.replace(a_choice(), **change), now_ms=T0_MS * 2)


def test_an_outcome_that_the_feed_would_not_have_held_teaches_nothing() -> None:
    look, weights = candidates(), PersonalWeights(new_blender())
    scores = look.features.weighted_sum(weights_for(look.query, weights.blender).astype(np.float32))
    scores[~look.is_admissible] = np.inf
    last, feed_items = int(scores.argmin()), 10
    learn_outcome(weights, look, last, feed_items=feed_items)
    assert weights.blender.outcomes == 0
    best = int(np.where(look.is_admissible, scores, -np.inf).argmax())
    learn_outcome(weights, look, best, feed_items=feed_items)
    assert weights.blender.outcomes == 1
