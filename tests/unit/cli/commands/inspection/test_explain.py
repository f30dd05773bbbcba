"""The words of `millrace explain`."""

from __future__ import annotations

from io import StringIO
from typing import Any

import msgspec
import pytest
from rich.console import Console

from cli.commands.inspection.explain import ExplainReport, ServedPosition, _show
from streams.core.ranking.explanation import FeatureShare, ItemExplanation, LlmShare
from streams.core.ranking.feed_comparison import FeedComparison
from streams.core.ranking.pipeline import MODEL
from streams.core.ranking.stages.filters import REMOVAL_LABELS

EQUAL = FeedComparison(is_equal=True, differing_positions=0, largest_score_difference=0.0, has_newer_features=False)


def a_report(comparison: FeedComparison | None = EQUAL, **overrides: Any) -> ExplainReport:
    """Return the report of an item at position 3."""
    fields: dict[str, Any] = {
        **{"item_id": "i1", "title": "A [bold] title", "category": "music", "outcome": "ranked", "removed_by": []},
        **{"position": 3, "position_by_score": 5, "candidates": 1_200, "feed_items": 50, "score": 1.5},
        **{
            "steps": ["diversity"],
            "is_calibrated": False,
            "is_trailing": False,
            "reason": "You like jazz",
            "llm": None,
        },
        "features": [
            FeatureShare("affinity", "affinity", "preferences", "of preferred categories", 0.5, 3.0, 1.0, 1.5)
        ],
    }
    return ExplainReport(
        user_id="u1",
        served=ServedPosition("5-9", 9, MODEL, 4, 1.4, "You like jazz"),
        explanation=ItemExplanation(**(fields | overrides)),
        comparison=comparison,
        model=MODEL,
        weights="v1+3",
        features_version=5,
    )


def shown(report: ExplainReport) -> str:
    console = Console(file=StringIO(), width=160)
    _show(report, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_positions_features_and_versions_are_shown() -> None:
    text = shown(a_report())
    for words in ("A [bold] title", "position 3 of 50: “You like jazz”", "1,200 candidates", "+1.5000", "v1+3", "5-9"):
        assert words in text
    assert "The feed ranked now equals the one that is served." in text


@pytest.mark.parametrize("name", REMOVAL_LABELS)
def test_a_filter_is_shown_in_words(name: str) -> None:
    outside = {"position": None, "position_by_score": None, "reason": ""}
    assert REMOVAL_LABELS[name] in shown(a_report(outcome="removed", removed_by=[name], **outside))


def test_the_other_outcomes_are_told_apart() -> None:
    outside = {"position": None, "reason": ""}
    assert "50 other items come before it" in shown(a_report(outcome="outranked", **outside))
    assert "no candidate source names it" in shown(a_report(outcome="no_candidate", position_by_score=None, **outside))
    assert "only because the feed was too short" in shown(a_report(outcome="filled_up", removed_by=["seen"]))


def test_the_language_models_part_and_the_steps_are_shown() -> None:
    text = shown(a_report(llm=LlmShare(0.5, 0.25, 0.6, 0.4), steps=["llm_blend", "calibration", "diversity"]))
    assert "0.6 · 0.5000" in text
    assert "0.4 · 0.2500" in text
    assert "after scores of the language model, stated interests of a newcomer, diversity" in text


def test_a_difference_from_the_served_feed_has_its_cause() -> None:
    difference = msgspec.structs.replace(EQUAL, is_equal=False, differing_positions=7)
    assert "differs from the one that is served at 7 positions" in shown(a_report(difference))
    assert "the user's features changed since" in shown(
        a_report(msgspec.structs.replace(difference, has_newer_features=True))
    )
    assert "No feed of the user is stored" in shown(a_report(None))
