"""What a model says is not trusted: bounded, plain, and one item whoever it is suggested to."""

from typing import Any

import pytest

from schemas import record_limit
from streams.fetchers.suggestion import MAX_SUGGESTIONS, SuggestedItem, Suggestion, Suggestions, suggested_items
from tests.build import LISBON, NEW_YORK, T0_MS, a_fetch_request


def offered(*suggestions: dict[str, Any], **request: Any) -> list[SuggestedItem]:
    given_suggestions = Suggestions([Suggestion(**({"title": "Jazz Night"} | fields)) for fields in suggestions])
    found_suggestions = suggested_items(given_suggestions, a_fetch_request(**request))
    for offer in found_suggestions:
        record_limit.check(offer.item, now_ms=T0_MS)
    return found_suggestions


def test_a_suggestion_becomes_an_item_where_it_was_asked_for() -> None:
    [offer] = offered(
        {
            "description": "A trio.",
            "topics": ["Jazz", "live", "jazz"],
            "reason": "You like jazz",
            "url": "https://example.com/night",
            "venue": "Blue Lantern",
            "starts": "2026-11-20T21:00",
            "by": "The Trio",
            "year": 1999,
        }
    )
    item = offer.item
    assert (item.title, item.category, item.source, item.city, item.cell) == (
        *("Jazz Night", "events", "llm", "New York", NEW_YORK),
    )
    assert (item.description, item.topics, item.url) == ("A trio.", ["jazz", "live"], "https://example.com/night")
    assert item.attributes == {
        **{"by": "The Trio", "venue": "Blue Lantern"},
        **{"starts": "2026-11-20T21:00", "year": "1999"},
    }
    assert (offer.reason, item.created_at, item.private) == ("You like jazz", T0_MS, True)


def test_markup_is_taken_out_and_lengths_are_bounded() -> None:
    [offer] = offered(
        {
            "title": "<b>Jazz</b>\n&lt;script&gt;alert(1)&lt;/script&gt; " + "x" * 9_999,
            "description": "<img src=x onerror=alert(1)>" + "y" * 99_999,
            "topics": ["<i>", *(f"t{n}" * 99 for n in range(99))],
            "reason": "z" * 9_999,
        }
    )
    text = " ".join([offer.item.title, offer.item.description, offer.reason, *offer.item.topics])
    assert not set("<>\n") & set(text)
    assert (len(offer.item.title), len(offer.item.description), len(offer.reason)) == (120, 500, 160)
    assert (len(offer.item.topics), max(map(len, offer.item.topics))) == (5, 40)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "ftp://x.org", "https://", "http://a:b@x.org", "x" * 9_999, ""])
def test_only_links_of_the_web_are_kept(url: str) -> None:
    assert offered({"url": url})[0].item.url is None


@pytest.mark.parametrize("starts", ["tomorrow", "2026-11-20T21:00; DROP", "", "20.11.2026"])
def test_a_time_of_another_form_is_left_out(starts: str) -> None:
    assert "starts" not in offered({"starts": starts})[0].item.attributes


def test_no_more_is_taken_than_fits_and_a_blank_title_is_nothing() -> None:
    assert len(offered(*({"title": f"Night {n}"} for n in range(99)))) == MAX_SUGGESTIONS
    assert offered({"title": "<br>"}) == []


def test_topics_in_one_text_are_taken_apart() -> None:
    assert offered({"topics": ["Jazz, live music,"]})[0].item.topics == ["jazz", "live music"]


def test_one_thing_under_two_spellings_is_offered_once() -> None:
    suggested_item = offered(
        {"title": "The Jazz Night", "reason": "first"}, {"title": "jazz night!", "reason": "second"}
    )
    assert [offer.reason for offer in suggested_item] == ["first"]


def test_a_suggestion_is_one_item_for_all_users_and_another_in_another_city() -> None:
    [one] = offered({"title": "Jazz Night"}, user_id="u1")
    [other] = offered({"title": "JAZZ night", "description": "Words differ."}, user_id="u2", occurred_at=T0_MS - 5)
    [there] = offered({"title": "Jazz Night"}, city="Lisbon", cell=LISBON)
    [name] = offered({"title": "Jazz Night"}, city="NYC", cell=None)
    assert name.item.item_id == one.item.item_id
    assert one.item.item_id == other.item.item_id != there.item.item_id


def test_without_a_city_the_cell_distinguishes_locations() -> None:
    [here], [there] = offered({}, city=None), offered({}, city=None, cell=LISBON)
    assert here.item.item_id != there.item.item_id
