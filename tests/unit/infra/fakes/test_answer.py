"""What the double of Claude answers follows from the request and fits the schema."""

import json
from typing import Annotated, Any

import msgspec
import pytest

from infra.fakes.answer import MARK, answer
from infra.llm.prompt import input_schema


class Thing(msgspec.Struct, kw_only=True):
    title: str
    description: str
    topics: list[str]
    url: str | None
    starts: str | None = None
    rating: Annotated[float, msgspec.Meta(ge=1, le=5)] = 1.0
    stars: Annotated[int, msgspec.Meta(ge=1, le=5)]
    open: bool
    kind: Annotated[str, msgspec.Meta(max_length=10)]


class Things(msgspec.Struct):
    items: list[Thing]


def things(fields: dict[str, Any], system: str = "Suggest something.") -> list[Thing]:
    result = answer(input_schema(Things), system=system, user_text=json.dumps(fields))
    return msgspec.convert(result, Things).items


@pytest.mark.parametrize(
    ("system", "category"),
    [
        ("Suggest up to 8 albums to listen to.", "music"),
        ("Suggest films to watch, not places.", "movies"),
        ("Suggest events: concerts, markets.", "events"),
        ("Suggest workshops to take part in.", "workshops"),
    ],
)
def test_items_are_of_the_category_that_is_asked_for(system: str, category: str) -> None:
    assert things({}, system) == things({"category": category})


def test_items_fit_interests_city_and_day_and_say_that_they_are_simulated() -> None:
    fields = {"category": "events", "where": "New York", "when": "Friday evening, 2026-11-20", "interests": ["market"]}
    first = things(fields)[0]
    assert (first.title, first.topics, first.starts) == (
        "Night Market, New York",
        ["food", "market"],
        "2026-11-20T20:00",
    )
    assert first.description.startswith(MARK)
    assert first.url == "https://example.com/night-market-new-york"


def test_candidates_that_fit_are_scored_higher() -> None:
    candidates = [
        {"id": 0, "title": "A", "category": "movies", "topics": ["opera"]},
        {"id": 1, "title": "B", "category": "music", "topics": ["jazz"]},
    ]
    schema = {"type": "object", "properties": {"scores": {"type": "array"}}}
    payload = json.dumps({"stated": ["jazz"], "likes": ["music"], "candidates": candidates})
    other, fitting = answer(schema, system="", user_text=payload)["scores"]
    assert (other["id"], fitting["id"]) == (0, 1)
    assert 0 <= other["score"] <= 0.2
    assert 0.9 <= fitting["score"] <= 1
    assert answer(schema, system="", user_text=payload)["scores"] == [other, fitting]
