"""Benchmark cases that need no servers, on a small load."""

from __future__ import annotations

import pytest

from bench import grown
from bench.cases import exploration, growth, index, ranking, scale, sizing, training
from bench.figure import figures as lines_of
from bench.folded import folded
from bench.grown import Sample
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


def test_the_exploration_benchmark_reports_the_gain_of_each_policy_over_none() -> None:
    figures = exploration.measure(Settings(), visits=5, seeds=2, on_progress=silent)
    assert list(figures) == ["none", "thompson", "ucb", "epsilon-greedy"]
    assert (figures["none"]["gain"], figures["none"]["wins"]) == (0.0, 0)
    for one in figures.values():
        assert one["regret"] == pytest.approx(figures["none"]["regret"] - one["gain"], abs=2e-4)
    assert len(list(lines_of({"exploration": figures}))) == 4


def test_the_training_benchmark_times_a_fit_and_the_network() -> None:
    pytest.importorskip("torch")
    figures = training.measure(LOAD.resized(Size(events=200, users=20, items=30)), Settings(), on_progress=silent)
    assert figures["events"] == 200
    assert min(figures["fit_s"], figures["network_s"]) > 0
    assert [line.name for line in lines_of({"training": figures})] == [
        "training on 200 interactions: a full fit",
        "training on 200 interactions: five epochs of the dot-product network",
    ]


def test_the_figures_of_context_iq_are_held_against_its_document() -> None:
    latency = {"p50_ms": 5.0, "p95_ms": 60.0, "p99_ms": 70.0}
    result = dict.fromkeys(("health", "interact", "cached", "cold"), latency) | {"hit_rate": 0.75}
    assert ["missed" in line.note for line in lines_of({"context-iq": result})] == [True, True, False, False, True]


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


@pytest.mark.parametrize("size", [Size(events=2_000, users=60, items=80), Size(events=1_500, users=700, items=200)])
def test_the_formula_of_a_users_size_is_within_a_tenth_of_what_is_measured(size: Size) -> None:
    figures = sizing.measure(LOAD.resized(size), Settings(), on_progress=silent)
    for name in ("user", "object"):
        assert figures[f"{name}_bytes_formula"] == pytest.approx(figures[f"{name}_bytes"], rel=0.1), name
    assert figures["links_bytes"] > 0


def test_a_long_stream_is_learned_with_a_sample_of_each_hundredth() -> None:
    size, samples = Size(events=1_000, users=50, items=100), list[Sample]()

    def tell(events: int, cpu_s: float, sizes: dict[str, int]) -> None:
        samples.append(Sample(events, 1_000_000 + 1_000 * events, cpu_s, sizes))

    grown.learn(grown.events(size), size, tell)
    assert [sample.events for sample in samples] == list(range(10, 1_001, 10))
    assert 50 < samples[-1].sizes["items"] <= 100
    assert samples[-1].sizes["links"] > samples[0].sizes["links"]
    figures = growth.figures(samples)
    assert figures["peak_bytes"] == 2_000_000
    assert figures["last_half_growth"] == pytest.approx(2 / 1.5 - 1, abs=1e-3)
    assert figures["us_per_event"] == pytest.approx(1e6 * samples[-1].cpu_s / 1_000, abs=0.1)
    assert next(line.name for line in lines_of({"growth": figures})) == "memory of learning a long stream"
