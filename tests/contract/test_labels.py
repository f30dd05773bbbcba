"""The page has a label for each group of contributions that a feed can hold, and for no other; documents have a row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from models.registry import MODELS, RATING_MODELS
from streams.core.ranking.candidate_rerank import AFFINITY, CONTENT
from streams.core.ranking.stages.features import SOURCES
from streams.core.ranking.stages.llm_blend import LLM, ML

ROOT = Path(__file__).parents[2]
CARD = ROOT / "portal" / "card.js"


def test_each_contribution_has_a_label() -> None:
    table = CARD.read_text().partition("const FEATURE_GROUPS = {")[2].partition("};")[0]
    labels = set(re.findall(r"^ *(\w+): \[", table, re.MULTILINE))
    assert labels == {*SOURCES, AFFINITY, CONTENT, LLM, ML}


@pytest.mark.parametrize("name", [*SOURCES, *MODELS, *RATING_MODELS])
def test_each_feature_group_and_model_is_documented(name: str) -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", (ROOT / "docs" / "models.md").read_text(), re.MULTILINE)
    assert f"`{name}`" in {cell for row in rows for cell in row.split(", ")}
