"""Each feature group and each model has a row in the documents, and the page has each group under its label."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from domain.experiment_results import METRICS
from models.registry import MODELS, RATING_MODELS
from streams.core.ranking.stages.features import ALL_GROUPS

ROOT = Path(__file__).parents[3]


def test_the_page_has_the_labels_of_the_feature_groups() -> None:
    table = (ROOT / "portal" / "card.js").read_text().partition("const FEATURE_GROUPS = {")[2].partition("};")[0]
    labels = re.findall(r'^ *(\w+): \["(.*)", "(.*)"\],$', table, re.MULTILINE)
    assert labels == [(group.name, group.label, group.description) for group in ALL_GROUPS]


def test_the_page_has_the_labels_of_the_metrics_of_experiments() -> None:
    table = (ROOT / "portal" / "lifts.js").read_text().partition("const METRICS = {")[2].partition("};")[0]
    assert re.findall(r'^ *(\w+): \["', table, re.MULTILINE) == list(METRICS)


@pytest.mark.parametrize("name", [*(group.name for group in ALL_GROUPS), *MODELS, *RATING_MODELS])
def test_each_feature_group_and_model_is_documented(name: str) -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", (ROOT / "docs" / "models.md").read_text(), re.MULTILINE)
    assert f"`{name}`" in {cell for row in rows for cell in row.split(", ")}
