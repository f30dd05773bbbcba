"""What is asked of a language model about a feed, and what counts of its answer."""

from __future__ import annotations

import json

from infra.llm.prompt import input_schema
from schemas.types import RecentItem
from streams.core.ranking.llm_judge import ItemSummary, Scored, Scores, interests, judge_request, parse_scores, question
from tests.build import T0_MS, a_feed, features

CARDS = {name: ItemSummary(name, f"Title of {name}", "music", ["jazz"]) for name in ("i1", "i2", "i3")}


def test_a_question_contains_interests_and_items_but_no_identity() -> None:
    whom = features(
        user_id="alex",
        preferred=["jazz"],
        categories={"music": 2.0, "movies": -1.0},
        topics={"opera": 3.0},
        recent=[
            RecentItem(item_id="i3", weight=1.0, at=T0_MS),
            RecentItem(item_id="gone", weight=1.0, at=T0_MS),
            RecentItem(item_id="i1", weight=-1.0, at=T0_MS),
        ],
        queries=["late sets"],
        cell="872a1072bffffff",
        segment="25-34|f",
    )
    text = question(interests(whom), CARDS, ["i2", "i1"])
    body = json.loads(text)
    assert (body["stated"], body["likes"], body["searches"]) == (["jazz"], ["opera", "music"], ["late sets"])
    assert [(item["title"], item["liked"]) for item in body["recent"]] == [
        ("Title of i3", True),
        ("Title of i1", False),
    ]
    assert body["candidates"] == [
        {"id": 0, "title": "Title of i2", "category": "music", "topics": ["jazz"]},
        {"id": 1, "title": "Title of i1", "category": "music", "topics": ["jazz"]},
    ]
    assert not any(secret in text for secret in ("alex", "872a1072bffffff", "25-34"))


def test_long_texts_are_cut() -> None:
    cards = {"i1": ItemSummary("i1", "x" * 5_000, "music", ["jazz"] * 100)}
    assert len(question(interests(features()), cards, ["i1"])) < 500


def test_the_best_items_by_the_ranking_are_wanted_before_and_after_the_models_say() -> None:
    before = a_feed(items=["a", "b", "c", "d"], scores=[0.9, 0.2, 0.5, 0.4], parts={})
    after = a_feed(
        items=["d", "b", "a", "c"],
        scores=[0.9, 0.8, 0.7, 0.6],
        ml_scores=[0.3, 0.0, 1.0, 0.4],
        llm_scores={"a": 0.1, "b": 1.0},
        parts={},
    )
    assert judge_request(before, limit=3).items == judge_request(after, limit=3).items == ["a", "c", "d"]
    assert judge_request(after, limit=3).llm_scores == {"a": 0.1}


def test_a_feed_has_had_scores_if_it_shows_all_of_them() -> None:
    feed = a_feed(llm_scores={"i1": 0.25, "i2": 0.5})
    assert judge_request(feed, limit=3).has_scores({"i1": 0.2501, "elsewhere": 1.0})
    assert not judge_request(feed, limit=3).has_scores({"i1": 0.3})
    assert not judge_request(feed, limit=3).has_scores({"i1": 0.25, "i3": 0.0})


def test_scores_count_once_and_only_for_what_was_asked() -> None:
    answer = Scores([Scored(1, 0.5), Scored(0, 0.9), Scored(1, 0.1), Scored(2, 1.0), Scored(-1, 1.0)])
    assert parse_scores(answer, ["i1", "i2"]) == {"i1": 0.9, "i2": 0.5}


def test_the_model_gets_the_limits_of_a_score() -> None:
    score = input_schema(Scores)["$defs"]["Scored"]["properties"]["score"]
    assert (score["type"], score["minimum"], score["maximum"]) == ("number", 0, 1)
