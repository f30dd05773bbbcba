"""What a context says, however its lists are written."""

import pytest

from schemas.event_context import context_labels, first_label


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ('["technology","ai"]', ["technology", "ai"]),
        ('["rock, pop", "jazz"]', ["rock, pop", "jazz"]),
        ("technology, ai,", ["technology", "ai"]),
        ('"jazz"', ["jazz"]),
        ("[live] jazz", ["[live] jazz"]),
        ('["jazz", 5, null, "jazz", " "]', ["jazz"]),
        ("[5]", []),
        ("", []),
    ],
)
def test_a_list_is_a_list(text: str, labels: list[str]) -> None:
    assert context_labels(text) == labels


def test_one_label_is_the_first_of_a_list() -> None:
    assert first_label({"category": '["news","films"]'}, "category") == "news"
    assert first_label({}, "category") == ""
