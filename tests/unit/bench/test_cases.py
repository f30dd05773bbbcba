"""Benchmark cases that need no servers, on a small load."""

from __future__ import annotations

from bench.cases import index, ranking, scale
from bench.figure import figures as lines_of
from bench.folded import folded
from bench.load import EventLoad, Size
from infra.settings import Settings

LOAD = EventLoad(Size(events=2_000, users=60, items=80), now_ms=1_700_000_000_000)


def silent(_what: str, __share: float, _of: float) -> None:
    """Tell nobody."""


def test_what_is_ranked_with_knows_every_item_and_everyone_who_acted() -> None:
    sizes = folded(LOAD, Settings(), on_progress=silent)
    assert set(sizes.snapshot.items.names) == {item.item_id for item in LOAD.items}
    assert set(sizes.users) == {event.user_id for event in LOAD.history()}
    assert list(sizes.users)[-1] == list(LOAD.history())[-1].user_id
    assert sizes.blender.outcomes > 0
    assert sizes.snapshot.neighbors.links.row(sizes.snapshot.items.get(LOAD.items[0].item_id))[0].size


def test_the_ranking_benchmark_reports_its_number_of_candidates() -> None:
    figures = ranking.measure(LOAD, Settings(), on_progress=silent)
    assert figures["ms_per_user"] > 0
    assert figures["candidates"] == 80
    assert figures["events_per_user"] > 1


def test_candidates_of_a_large_catalogue_are_nearly_as_good_as_everything() -> None:
    plan = scale.ScalePlan((500, 21_000), recall_items=21_000, text_items=500)
    figures = scale.measure(plan, Settings(), on_progress=silent)
    assert 0 < figures["build_ms_21000"] < figures["ms_per_user_21000"]
    assert figures["recall_at_10"] >= 0.95
    assert [line.name for line in lines_of({"scale": figures})][-1].endswith("21,000 items")


def test_an_index_that_looks_at_nearly_everything_finds_all_that_is_nearest() -> None:
    figures = index.measure(LOAD.resized(Size(events=1, users=1, items=300)), on_progress=silent)
    assert figures["items"] == 300
    assert figures["recall_at_100"] >= 0.99
