import pytest

from streams.core.triggers.prefetch_request import PromptField
from streams.fetchers import FETCHERS
from tests.contract.llm.prompts import FOLDER, text

PERSONAL: dict[str, set[PromptField]] = {
    "places": {"where", "when", "interests", "keywords", "muted", "travel_history", "relationship_status"},
    "events": {"where", "when", "interests", "keywords", "muted", "relationship_status"},
    "workshops": {"where", "when", "interests", "keywords", "muted"},
    "music": {"when", "interests", "keywords", "liked", "muted", "demographics"},
    "movies": {"when", "interests", "keywords", "liked", "muted", "demographics"},
}
"""What each category is told of a person: written down twice, so that telling more is a decision."""


@pytest.mark.parametrize("category", FETCHERS)
def test_a_prompt_is_the_one_that_was_agreed(category: str) -> None:
    stored_prompt = (FOLDER / f"{category}.txt").read_text()
    now = text(FETCHERS[category])
    if now != stored_prompt:
        same_version = now.partition("-")[0] == stored_prompt.partition("-")[0]
        assert not same_version, f"raise the version of {category}"
    assert now == stored_prompt, "python -m tests.contract.llm.prompts"


def test_a_prompt_contains_only_the_permitted_fields_of_a_user() -> None:
    assert {name: set(fetcher.prompt_fields) for name, fetcher in FETCHERS.items()} == PERSONAL


def test_every_category_is_registered_under_its_own_name() -> None:
    assert {name: fetcher.category for name, fetcher in FETCHERS.items()} == {name: name for name in FETCHERS}


def test_what_is_somewhere_is_asked_with_where() -> None:
    assert all(("where" in fetcher.prompt_fields) == fetcher.depends_on_location for fetcher in FETCHERS.values())
