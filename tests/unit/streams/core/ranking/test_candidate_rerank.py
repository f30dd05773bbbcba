"""Given lists: items that nobody has seen are ranked by what is said of them, and told apart by their topics."""

from typing import Any

import pytest

from schemas.types import Candidate, Features, Feed, RecentItem
from streams.core.ranking.candidate_rerank import rerank_candidates
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import new_blender
from tests.build import T0_MS, a_trigger, an_item, features
from tests.params import RANK_PARAMS


def a_view() -> CatalogSnapshot:
    """Return a catalogue of two items that say what they are about."""
    view = CatalogSnapshot()
    view.apply_item(an_item("i1", title="Trends in machine learning", category="articles", topics=["ai"]))
    view.apply_item(an_item("i2", title="The garden in autumn", category="articles", topics=["garden"]))
    view.refresh()
    return view


def a_reader(**overrides: Any) -> Features:
    recent = [RecentItem(item_id="i1", weight=1.0, at=T0_MS)]
    return features(recent=recent, seen=["i1"], event_count=6, **overrides)


def ranked(*new: Candidate, whom: Features | None = None, more: tuple[str, ...] = (), **overrides: Any) -> Feed:
    candidates = [*(one.item_id for one in new), *more]
    trigger = a_trigger(kind="rerank", candidates=candidates, described=list(new), **overrides)
    return rerank_candidates(trigger, whom or a_reader(), a_view(), new_blender(), RANK_PARAMS, now_ms=T0_MS)


def test_new_items_are_ranked_by_topics_and_by_what_was_liked() -> None:
    favourite = Candidate(item_id="n1", title="Anything", topics=["technology"])
    alike = Candidate(item_id="n2", title="Trends in machine learning today", topics=["ai"])
    strange = Candidate(item_id="n3", title="Cooking with salt", topics=["food"])
    feed = ranked(strange, favourite, alike, whom=a_reader(topics={"technology": 3.0, "food": -1.0}))
    assert feed.items[-1] == "n3"
    assert dict(zip(feed.items, feed.reasons, strict=True)) == {
        "n1": "You like technology",
        "n2": "Like what you liked",
        "n3": "New here",
    }
    assert feed.scores == sorted(feed.scores, reverse=True)
    assert feed.scores[-1] < 0


def test_the_parts_of_new_items_add_up_beside_those_of_known_ones() -> None:
    feed = ranked(
        Candidate(item_id="n1", topics=["ai"], source="news"), more=("i2",), whom=a_reader(topics={"ai": 1.0})
    )
    assert set(feed.items) == {"n1", "i2"}
    for place, score in enumerate(feed.scores):
        assert sum(part[place] for part in feed.parts.values()) == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize("distance", [None, 0.0, 0.5])
def test_given_items_that_are_far_away_come_after_all_others(distance: float | None) -> None:
    view = a_view()
    view.apply_item(an_item("far", title="Trends in machine learning", topics=["ai"], city="Tokyo"))
    view.apply_item(an_item("sold", title="Machine learning", topics=["ai"], stock=0))
    view.apply_item(an_item("near", topics=["garden"], city="Lisboa"))
    view.refresh()
    new = Candidate(item_id="n1", title="Cooking", topics=["food"])
    trigger = a_trigger(
        kind="rerank",
        candidates=["far", "n1", "sold", "nowhere", "near", "i2"],
        described=[new],
        topic_distance=distance,
    )
    whom = a_reader(topics={"ai": 9.0, "food": -1.0}, city="Lisbon")
    feed = rerank_candidates(trigger, whom, view, new_blender(), RANK_PARAMS, now_ms=T0_MS)
    assert set(feed.items[:3]) == {"n1", "near", "i2"}
    assert set(feed.items[3:5]) == {"far", "sold"}
    assert (feed.items[5:], feed.trailing) == (["nowhere"], 3)
    assert all(
        sum(part[place] for part in feed.parts.values()) == pytest.approx(score, abs=1e-6)
        for place, score in enumerate(feed.scores)
    )


def test_an_item_of_no_category_is_liked_for_its_source() -> None:
    other, candidate = Candidate(item_id="n1", source="b"), Candidate(item_id="n2", source="a")
    assert ranked(other, candidate, whom=features(sources={"a": 2.0})).items == ["n2", "n1"]


def test_what_the_catalogue_holds_is_ranked_as_it_says_and_the_rest_of_unknown_stays_last() -> None:
    candidate = Candidate(item_id="i1", title="Something else", topics=["food"])
    feed = ranked(candidate, more=("nowhere",), whom=features(topics={"ai": 1.0, "food": -1.0}))
    assert feed.items == ["i1", "nowhere"]
    assert feed.reasons == ["You like ai", "Not in the catalogue"]


@pytest.mark.parametrize(
    ("distance", "items"),
    [(0.0, ["n1", "n2", "n3"]), (0.3, ["n1", "n3", "n2"]), (1.0, ["n1", "n3", "n2"]), (None, ["n1", "n2", "n3"])],
)
def test_items_differ_in_topics_as_far_as_is_asked_for(distance: float | None, items: list[str]) -> None:
    candidates = [
        Candidate(item_id="n1", topics=["ai", "art"]),
        Candidate(item_id="n2", topics=["ai", "art"]),
        Candidate(item_id="n3", topics=["food"]),
    ]
    whom = features(topics={"ai": 1.0, "food": 0.1})
    assert ranked(*candidates, whom=whom, topic_distance=distance).items == items


@pytest.mark.parametrize("context", [{"mood": "garden"}, {"interests": '["food", "garden"]'}, {"a": "x, garden"}])
def test_what_the_context_names_counts_this_once(context: dict[str, str]) -> None:
    candidates = [Candidate(item_id="n1", title="Anything", topics=["garden"]), Candidate(item_id="n2", title="Other")]
    without, feed = ranked(*candidates, more=("i2",)), ranked(*candidates, more=("i2",), context=context)
    scores, raised_scores = (dict(zip(one.items, one.scores, strict=True)) for one in (without, feed))
    assert raised_scores["n1"] > scores["n1"]
    assert raised_scores["i2"] > scores["i2"]
    assert raised_scores["n2"] == scores["n2"]
    assert dict(zip(feed.items, feed.reasons, strict=True))["n1"] == "You asked for garden"


def test_what_is_liked_anyway_is_not_asked_for() -> None:
    candidate = Candidate(item_id="n1", title="Anything", topics=["garden"])
    feed = ranked(candidate, whom=a_reader(topics={"garden": 1.0}), context={"mood": "garden"})
    assert feed.reasons == ["You like garden"]


def test_a_context_that_says_nothing_asks_for_nothing() -> None:
    feed = ranked(Candidate(item_id="n1", source="a"), whom=a_reader(sources={"a": 1.0}), context={"mood": ""})
    assert feed.reasons == ["You like a"]


def test_nothing_given_is_nothing() -> None:
    assert ranked().items == []
