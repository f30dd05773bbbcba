"""Items that only a request describes: what interactions, texts and the situation say of them counts."""

from typing import Any

import pytest

from schemas.types import Candidate, Features, Feed, ItemNeighbors, RecentItem
from streams.core.ranking.candidate_rerank import rerank_candidates
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import new_blender
from tests.build import T0_MS, a_trigger, an_item, features, stats
from tests.params import RANK_PARAMS

CANDIDATES = [Candidate(item_id=f"art{name}", title=f"Article {name}") for name in "DCBA"]
RECORDINGS = "An hour of recordings around late-night jazz, from Harlem basements to the radio studios of Tokyo"


def ranked(catalog: CatalogSnapshot, user: Features, *candidates: Candidate, **overrides: Any) -> Feed:
    names = [one.item_id for one in candidates]
    trigger = a_trigger(kind="rerank", candidates=names, described=list(candidates), **overrides)
    catalog.refresh()
    return rerank_candidates(trigger, user, catalog, new_blender(), RANK_PARAMS, now_ms=T0_MS)


def a_fan_of(item: str, **overrides: Any) -> Features:
    recent = [RecentItem(item_id=item, weight=1.0, at=T0_MS)]
    return features(recent=recent, seen=[item], event_count=6, **overrides)


def popular(catalog: CatalogSnapshot, **log_popularities: float) -> None:
    for item, log_popularity in log_popularities.items():
        catalog.apply_stats(stats(item, popularity=log_popularity, trending=log_popularity))


def test_what_others_chose_with_a_liked_item_comes_first() -> None:
    catalog = CatalogSnapshot()
    popular(catalog, artA=3.0, artB=3.0, artC=3.0, artD=3.0)
    for item, other in (("artA", "artB"), ("artB", "artA"), ("artC", "artD"), ("artD", "artC")):
        times = {"mass": 30.0, "reference": T0_MS, "watermark": T0_MS}
        catalog.apply_neighbors(ItemNeighbors(item_id=item, neighbors=[other], scores=[30.0], **times))
    feed = ranked(catalog, a_fan_of("artA"), *CANDIDATES)
    assert (feed.items[0], feed.sources[0], feed.reasons[0]) == ("artB", "neighbors", "Because you liked artA")
    for place, score in enumerate(feed.scores):
        assert sum(part[place] for part in feed.parts.values()) == pytest.approx(score, abs=1e-5)


def test_a_stranger_is_shown_what_is_popular_first() -> None:
    catalog = CatalogSnapshot()
    popular(catalog, artB=3.7, artC=0.5)
    feed = ranked(catalog, features(), *CANDIDATES, Candidate(item_id="artE", category="news"))
    assert feed.items[:2] == ["artB", "artC"]
    assert feed.reasons[0] == "Popular"
    assert set(feed.reasons[2:]) == {"New here"}


def test_a_newcomer_is_shown_what_is_popular_in_the_own_group() -> None:
    catalog = CatalogSnapshot()
    for item, segment in (("artB", "18-24|pt"), ("artC", "55-64|us")):
        catalog.apply_stats(stats(item, popularity=1.0, trending=1.0, segments={segment: 1.0}))
    for segment, first in (("18-24|pt", "artB"), ("55-64|us", "artC")):
        feed = ranked(catalog, features(segment=segment), *CANDIDATES)
        assert (feed.items[0], feed.reasons[0]) == (first, "Popular with people like you")


@pytest.mark.parametrize("is_listed", [True, False])
def test_an_item_described_as_a_liked_one_comes_first(is_listed: bool) -> None:
    catalog = CatalogSnapshot()
    liked_item = Candidate(item_id="liked", title="Blue Hour", text=RECORDINGS)
    popular(catalog, liked=0.0)
    if is_listed:
        catalog.apply_item(an_item("liked", title="Blue Hour", description=RECORDINGS, topics=[], category=""))
    other = Candidate(item_id="other", text="Flour, water, salt, and the patience to wait for a crust")
    alike = Candidate(
        item_id="alike", title="Nightfall", text="Recordings of jazz, late-night, from the radio of Tokyo"
    )
    feed = ranked(catalog, a_fan_of("liked"), other, alike, liked_item)
    scores = dict(zip(feed.items, feed.scores, strict=True))
    assert scores["alike"] > scores["other"]
    assert feed.reasons[feed.items.index("alike")] == "Like what you liked"


def test_texts_of_removed_items_are_forgotten() -> None:
    catalog = CatalogSnapshot()
    catalog.apply_item(an_item("i1", description=RECORDINGS))
    index = catalog.items.get("i1")
    assert len(catalog.word_index.words(index)) > 10
    catalog.remove_item("i1")
    assert len(catalog.word_index.words(index)) == 0


SITUATION_AFFINITIES = {
    "device_type=mobile": {"news": 28.0, "films": 1.0},
    "time_of_day=morning": {"news": 28.0},
    "device_type=tv": {"films": 28.0},
    "location=us": {"films": 5.0},
}
NEWS_OR_FILMS = [Candidate(item_id="n", topics=["news"]), Candidate(item_id="f", topics=["films"])]


@pytest.mark.parametrize(
    ("context", "first"),
    [
        ({"device_type": "mobile"}, "n"),
        ({"device_type": "TV"}, "f"),
        ({"time_of_day": "Morning"}, "n"),
        ({"location": "US"}, "f"),
        ({"location": "us"}, "f"),
        ({}, "n"),  # that of the last event
    ],
)
@pytest.mark.parametrize("is_listed", [True, False])
def test_the_situation_changes_the_order_of_the_same_candidates(
    context: dict[str, str], first: str, is_listed: bool
) -> None:
    catalog = CatalogSnapshot()
    if is_listed:
        for one in NEWS_OR_FILMS:
            catalog.apply_item(an_item(one.item_id, topics=one.topics, category=""))
    user = features(
        topics={"news": 28.0, "films": 28.0},
        situation_affinities=SITUATION_AFFINITIES,
        situation=["device_type=mobile", "time_of_day=morning"],
        event_count=56,
    )
    feed = ranked(catalog, user, *NEWS_OR_FILMS, context=context)
    assert feed.items[0] == first
    assert feed.sources[0] == "situation"
    assert feed.reasons[0] == "You like this at moments like this"


@pytest.mark.parametrize("word", ["us", "US"])
def test_labels_of_a_context_are_compared_without_case(word: str) -> None:
    catalog = CatalogSnapshot()
    catalog.apply_item(an_item("i1", topics=["us"]))
    catalog.apply_item(an_item("i2", topics=["pt"]))
    new = [Candidate(item_id="n1", topics=["PT"]), Candidate(item_id="n2", topics=["US"])]
    feed = ranked(catalog, features(), *new, context={"region": word})
    assert (feed.items[0], feed.reasons[0]) == ("n2", "You asked for US")


def test_without_candidates_the_catalogue_is_ranked_in_the_context() -> None:
    catalog = CatalogSnapshot()
    for number in range(6):
        catalog.apply_item(an_item(f"i{number}", category="", topics=["news" if number % 2 else "films"]))
    user = features(situation_affinities=SITUATION_AFFINITIES, seen=["i1"], event_count=9)
    for device, topic_items in (("mobile", ["i3", "i5"]), ("tv", ["i0", "i2", "i4"])):
        feed = ranked(catalog, user, context={"device_type": device}, topic_distance=0.0)
        assert sorted(feed.items[: len(topic_items)]) == topic_items
        assert feed.orders == []
    diverse_feed = ranked(catalog, user, context={"device_type": "tv"}, topic_distance=0.5)
    assert {item in {"i3", "i5"} for item in diverse_feed.items[:2]} == {True, False}
