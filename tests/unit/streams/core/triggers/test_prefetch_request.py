"""From a trigger to questions: what is asked, what is told, and what is neither."""

from dataclasses import replace
from typing import Any, get_args
from zoneinfo import ZoneInfo

import h3
import msgspec
import pytest

from domain.nearby import geo_location
from infra.settings import Settings
from schemas import record_limit
from streams.core.params import PrefetchParams
from streams.core.triggers import prefetch_request
from streams.core.triggers.prefetch_request import ContentLocation, PromptField
from streams.core.user.user_state import UserState
from streams.fetchers import FETCHERS
from streams.runtime.core_params import fetchers, prefetch_params
from tests.build import LISBON, NEW_YORK, a_trigger
from tests.params import PREFETCH_PARAMS

PARAMS = replace(PREFETCH_PARAMS, prompt_fields=frozenset(get_args(PromptField)))
FRIDAY_EVENING_MS = 1_795_219_200_000
"""2026-11-20 19:00 in New York."""
HERE = ContentLocation(NEW_YORK, "New York")


def alex(**overrides: Any) -> UserState:
    fields: dict[str, Any] = {
        "user_id": "u1",
        "version": 5,
        "watermark": FRIDAY_EVENING_MS,
        "preferred": ["jazz", "hiking"],
        "topics": {"cooking": 3.0, "opera": -1.0, "jazz": 9.0},
        "queries": ["vinyl shop"],
        "recent": [("seen-it", 0.3, 1), ("loved-it", 2.0, 2)],
        "seen": {"seen-it": None, "loved-it": None},
        "segment": "25-34|m",
        "muted": ["karaoke"],
        "timezone": "America/New_York",
        "about": {"keywords": "trumpet, natural wine", "relationship_status": "single", "travel_history": "Lisbon"},
    }
    return UserState(**(fields | overrides))


def asked(
    state: UserState | None = None, place: ContentLocation = HERE, params: PrefetchParams = PARAMS
) -> dict[str, Any]:
    trigger = a_trigger(event_id="t1", kind="time", reason="Friday evening", occurred_at=FRIDAY_EVENING_MS)
    requests = prefetch_request.build_fetch_requests(
        trigger, state or alex(), place, FETCHERS.values(), title_of=lambda item: item.title(), params=params
    )
    for request in requests:
        record_limit.check(request, now_ms=FRIDAY_EVENING_MS)
    return {request.category: request for request in requests}


def told(category: str, **value: Any) -> dict[str, Any]:
    return dict(msgspec.json.decode(asked(**value)[category].about))


def test_every_category_is_asked_for_with_what_its_prompt_needs() -> None:
    assert list(asked()) == ["places", "events", "music", "movies", "workshops"]
    assert told("events") == {
        "category": "events",
        "where": "New York",
        "when": "Friday evening, 2026-11-20",
        "interests": ["jazz", "hiking", "cooking"],
        "keywords": ["trumpet", "natural wine", "vinyl shop"],
        "muted": ["karaoke"],
        "relationship_status": "single",
    }
    assert set(told("music")) == {"category", "when", "interests", "keywords", "liked", "muted", "demographics"}
    assert told("music")["liked"] == ["Loved-It"]


def test_a_request_says_who_where_why_and_by_what_to_search() -> None:
    request = asked()["places"]
    assert (request.user_id, request.trigger_id, request.reason) == ("u1", "t1", "Friday evening")
    assert (request.cell, request.city, request.local_time) == (NEW_YORK, "New York", "Friday evening, 2026-11-20")
    assert request.words == ["jazz", "hiking", "cooking", "trumpet", "natural wine", "vinyl shop"]
    assert request.known == ["seen-it", "loved-it"]


def test_what_holds_anywhere_is_asked_without_a_place() -> None:
    assert (asked()["music"].cell, asked()["music"].city) == (None, None)


@pytest.mark.parametrize("fact", get_args(PromptField))
def test_each_fact_can_be_switched_off(fact: PromptField) -> None:
    without = replace(PARAMS, prompt_fields=PARAMS.prompt_fields - {fact})
    assert any(fact in told(category) for category in FETCHERS)
    assert not any(fact in told(category, params=without) for category in FETCHERS)


def test_with_all_fields_disabled_a_prompt_has_only_the_category() -> None:
    nothing = replace(PARAMS, prompt_fields=frozenset())
    assert told("movies", params=nothing) == {"category": "movies"}
    assert asked(params=nothing)["movies"].words  # the catalogue is our own


def test_prompts_do_not_identify_the_user() -> None:
    assert all("u1" not in request.about for request in asked().values())


def test_who_is_nowhere_is_not_asked_for_places() -> None:
    assert list(asked(place=ContentLocation())) == ["music", "movies"]


def test_a_newcomer_is_asked_for_with_what_there_is() -> None:
    assert told("events", state=UserState("u1")) == {
        "category": "events",
        "where": "New York",
        "when": "Saturday night, 2026-11-21",
    }


def test_the_same_trigger_asks_under_the_same_ids_and_another_under_others() -> None:
    ids = [request.event_id for request in asked().values()]
    assert ids == [request.event_id for request in asked().values()]
    assert len(set(ids)) == len(ids)
    other = prefetch_request.build_fetch_requests(
        a_trigger(event_id="t2", kind="time", reason="Friday evening"),
        alex(),
        HERE,
        FETCHERS.values(),
        title_of=lambda _: "",
        params=PARAMS,
    )
    assert not {request.event_id for request in other} & set(ids)


def test_what_people_typed_is_one_short_line() -> None:
    state = alex(queries=["a\nb\x00\u2028c" + "x" * 1_000], preferred=[" ", "ok"])
    assert told("events", state=state)["keywords"][-1] == ("a b c" + "x" * 195)
    assert told("events", state=state)["interests"][0] == "ok"


def test_a_location_is_given_by_name_and_never_by_coordinates() -> None:
    assert (str(ContentLocation(LISBON)), str(ContentLocation(NEW_YORK, "New York")), str(ContentLocation())) == (
        "",
        "New York",
        "",
    )
    assert (ContentLocation(LISBON).key, ContentLocation(city="New York").key, ContentLocation().key) == (
        LISBON,
        "new-york-city-us-ny",
        "",
    )
    assert "where" not in told("places", place=ContentLocation(LISBON))


@pytest.mark.parametrize(
    ("point", "city"),
    [
        ((40.7309, -73.9973), "New York City"),
        ((59.3, 18.0), "Stockholm"),
        ((64.1, -21.9), "Reykjavík"),
        ((41.15, -8.62), "Porto"),
        ((43.66, -70.25), "Portland, Maine"),
        ((39.47, -0.37), "Valencia, Spain"),
        ((0.0, -30.0), None),
        ((-77.8, 166.7), None),
    ],
)
@pytest.mark.parametrize("resolution", [7, 9, 3])
def test_a_user_is_in_the_city_around_the_newest_ping(
    point: tuple[float, float], city: str | None, resolution: int
) -> None:
    cell = str(h3.latlng_to_cell(*point, resolution))
    place = prefetch_request.content_location(alex(cell=cell, city="Lisbon"), PARAMS)
    assert place.cell is not None
    assert h3.get_resolution(place.cell) == min(resolution, PARAMS.fetch_location_resolution)
    if resolution != 3:  # whose middle may be somewhere else
        assert place.city == city


@pytest.mark.parametrize(
    ("city", "timezone", "told_as"),
    [
        ("Lisbon", "Europe/Lisbon", "Lisbon"),
        ("München", "", "München"),
        ("Valencia", "Europe/Madrid", "Valencia, Spain"),
        ("Valencia", "", "Valencia"),
        ("Kleindorf", "Europe/Berlin", "Kleindorf"),
        (None, "Europe/Berlin", None),
    ],
)
def test_a_user_without_a_ping_is_in_the_city_of_the_profile(
    city: str | None, timezone: str, told_as: str | None
) -> None:
    state = alex(cell=None, city=city, timezone=timezone)
    place = prefetch_request.content_location(state, PARAMS)
    assert place == ContentLocation(city=told_as)
    location, content_location = geo_location(None, city, timezone), geo_location(None, place.city)
    assert location == content_location, "what is fetched for the place would be far from the user"


@pytest.mark.parametrize(
    ("hour", "text"), [(4, "night"), (5, "morning"), (12, "afternoon"), (17, "evening"), (22, "night"), (0, "night")]
)
def test_the_time_is_a_part_of_the_day(hour: int, text: str) -> None:
    midnight_ms = FRIDAY_EVENING_MS - 19 * 3_600_000
    told_time = prefetch_request.local_time(midnight_ms + hour * 3_600_000, ZoneInfo("America/New_York"))
    assert told_time == f"Friday {text}, 2026-11-20"


def test_settings_choose_categories_and_facts_and_name_what_there_is_not() -> None:
    settings = Settings(fetch_categories="music=60, places=5", prompt_fields="where, interests")
    assert list(fetchers(settings)) == ["music", "places"]
    assert prefetch_params(settings).prompt_fields == {"where", "interests"}
    assert prefetch_params(Settings(prompt_fields="none")).prompt_fields == frozenset()
    with pytest.raises(RuntimeError, match="FETCH_CATEGORIES names podcasts"):
        fetchers(Settings(fetch_categories="podcasts=60"))
    with pytest.raises(RuntimeError, match="PROMPT_FIELDS names shoe_size"):
        prefetch_params(Settings(prompt_fields="where,shoe_size"))
