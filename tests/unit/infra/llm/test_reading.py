"""An answer is read field by field: what is usable is kept, whatever stands beside it."""

import json
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from infra.llm.reading import PROBLEMS, Reading, UnreadableError, read
from schemas import record_limit
from streams.core.ranking.llm_judge import Scores, parse_scores
from streams.fetchers.suggestion import Suggestion, Suggestions, suggested_items
from tests.build import T0_MS, a_fetch_request


class Place(msgspec.Struct, frozen=True):
    name: str
    year: int | None = None
    rating: Annotated[float, Meta(ge=0, le=5)] = 0.0
    open: bool = True
    tags: Annotated[list[str], Meta(max_length=3)] = []
    note: Annotated[str, Meta(max_length=5)] = ""


class Places(msgspec.Struct, frozen=True):
    places: list[Place]
    city: str = ""


class Plain(msgspec.Struct, frozen=True):
    name: str
    inside: Place | None = None


def one(**fields: Any) -> Place:
    """Return a place as it was read."""
    return read([{"places": [{"name": "Mill"} | fields]}], Places).value.places[0]


@pytest.mark.parametrize(
    ("value", "year"),
    [
        *((1999, 1999), ("1999", 1999), (1999.0, 1999), ("1999.0", 1999), (" 1999 ", 1999), (None, None), ("", None)),
        *(("c. 1999", None), (1999.5, None), (True, None), ([1999], None), ({"a": 1}, None), (1e999, None)),
        *(("Infinity", None), ("nan", None), ("9" * 5_000, None), (10**400, None)),
    ],
)
def test_a_whole_number_is_read_where_nothing_is_lost(value: Any, year: int | None) -> None:
    assert one(year=value).year == year


@pytest.mark.parametrize(
    ("value", "rating"),
    [(4, 4.0), ("4.5", 4.5), (5.0, 5.0), ("4,5", 0.0), (5.01, 0.0), (-1, 0.0), ("NaN", 0.0), (float("nan"), 0.0)],
)
def test_a_number_is_finite_and_within_its_limits(value: Any, rating: float) -> None:
    assert one(rating=value).rating == rating


@pytest.mark.parametrize(
    ("value", "is_open"), [(False, False), ("false", False), (0, False), (None, True), ("?", True)]
)
def test_a_truth_value_may_be_a_word(value: Any, is_open: bool) -> None:
    assert one(open=value).open is is_open


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        *((["a", "b"], ["a", "b"]), ("a", ["a"]), ('["a", "b"]', ["a", "b"]), ([1, 2.5, None], ["1", "2.5"])),
        *((["a"] * 9, ["a"] * 3), ("[a]", ["[a]"]), ({"a": 1}, []), ([["a"]], []), (7, ["7"])),
    ],
)
def test_words_may_come_as_text_or_as_one(value: Any, tags: list[str]) -> None:
    assert one(tags=value).tags == tags


def test_a_text_that_is_too_long_is_cut() -> None:
    assert one(note="a longer note").note == "a lon"


def test_a_text_in_brackets_stays_text() -> None:
    assert one(note="[ok]").note == "[ok]"


def test_fields_beside_the_list_are_read_too() -> None:
    reading = read([{"places": [{"name": "Mill"}], "city": None}], Places)
    assert (reading.value.city, reading.problems) == ("", [])
    assert read([{"places": [], "city": 7}], Places).value.city == "7"


def test_an_object_within_an_object_is_left_out_alone() -> None:
    reading = read([{"name": "a", "inside": {"year": 1}}], Plain)
    assert (reading.value, reading.problems) == (Plain("a"), ["inside: name is missing"])
    assert read([{"name": "a", "inside": {"name": "b"}}], Plain).value.inside == Place("b")


def test_problems_are_named_by_place_and_bounded() -> None:
    entries = [{"name": "Mill", "year": "old " * 99} for _ in range(30)]
    reading = read([{"places": entries}], Places)
    assert (len(reading.value.places), reading.dropped_count, len(reading.problems)) == (30, 0, PROBLEMS)
    assert reading.problems[3].startswith("places[3].year: ")
    assert max(map(len, reading.problems)) <= 200


@pytest.mark.parametrize("payload", [None, 5, True, "", "no", "{", "[", [5], {}, "null", "[[[[", '{"places"', "{}" * 9])
def test_where_there_is_nothing_it_is_said(payload: Any) -> None:
    with pytest.raises(UnreadableError, match=r"\w"):
        read([payload], Scores)


def test_json_that_is_too_deep_is_unreadable() -> None:
    with pytest.raises(UnreadableError):
        read(["[" * 100_000], Places)
    with pytest.raises(UnreadableError):
        read(['{"places":' * 100_000], Places)


CUT = json.dumps({"places": [{"name": 'a "quoted" [name]', "tags": ["x"]}, {"name": "b\\", "tags": []}], "city": "c"})


@pytest.mark.parametrize("end", range(len(CUT) + 1))
def test_text_that_was_cut_anywhere_gives_its_whole_entries(end: int) -> None:
    whole = [place for place in (CUT.index("]}, {") + 2, CUT.index("[]}]") + 3) if place <= end]
    try:
        results = [place.name for place in read([CUT[:end]], Places, cut=True).value.places]
    except UnreadableError:
        results = []
    assert results == ['a "quoted" [name]', "b\\"][: len(whole)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["items", "title", "topics", "year", "url", "starts", "x"]), inner, max_size=4
        )
    ),
    max_leaves=25,
)
FIELDS = dict.fromkeys(Suggestion.__struct_fields__, JSON)


@given(payload=JSON, cut=st.booleans(), as_text=st.booleans())
def test_anything_is_read_or_refused(payload: Any, cut: bool, as_text: bool) -> None:
    given_payload = json.dumps(payload) if as_text else payload
    try:
        reading = read([given_payload], Suggestions, cut=cut)
    except UnreadableError:
        return
    assert msgspec.json.decode(msgspec.json.encode(reading.value), type=Suggestions) == reading.value


@given(entries=st.lists(st.fixed_dictionaries({}, optional=FIELDS), max_size=6))
def test_flawed_entries_take_no_other_with_them_and_all_items_are_within_limits(entries: list[dict[str, Any]]) -> None:
    reading: Reading[Suggestions] = read([{"items": [*entries, {"title": "Trio Night"}]}], Suggestions)
    assert reading.value.items[-1].title == "Trio Night"
    assert len(reading.value.items) + reading.dropped_count == len(entries) + 1
    for offer in suggested_items(reading.value, a_fetch_request()):
        record_limit.check(offer.item, now_ms=T0_MS)


@given(scores=st.lists(st.fixed_dictionaries({}, optional={"id": JSON, "score": JSON}), max_size=8))
def test_scores_are_finite_and_of_what_was_asked(scores: list[dict[str, Any]]) -> None:
    value = read([{"scores": [*scores, {"id": "1", "score": "0.5"}]}], Scores).value
    model_scores = parse_scores(value, ["i0", "i1"])
    assert model_scores.keys() <= {"i0", "i1"}
    assert "i1" in model_scores
    assert all(0 <= score <= 1 for score in model_scores.values())
