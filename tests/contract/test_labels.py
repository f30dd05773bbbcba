"""The page has a label for each group of contributions that a feed can hold, and for no other."""

from __future__ import annotations

import re
from pathlib import Path

from streams.core.ranking.candidate_rerank import AFFINITY, CONTENT
from streams.core.ranking.features import SOURCES
from streams.core.ranking.llm_blend import LLM, ML

CARD = Path(__file__).parents[2] / "portal" / "card.js"


def test_each_contribution_has_a_label() -> None:
    table = CARD.read_text().partition("const PARTS = {")[2].partition("};")[0]
    labels = set(re.findall(r"^ *(\w+): \[", table, re.MULTILINE))
    assert labels == {*SOURCES, AFFINITY, CONTENT, LLM, ML}
