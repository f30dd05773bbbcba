"""Which items are near to a user: by cell and by city, in any combination."""

from typing import Any

import h3
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.nearby import CITY_KM, UNKNOWN_LOCATION, GeoIndex, GeoLocation, _spot, geo_location
from domain.plain import plain

RADIUS_KM = 50.0
CITIES = {
    "New York": (40.7309, -73.9973),
    "Lisbon": (38.7139, -9.1394),
    "Berlin": (52.5163, 13.3777),
    "Tokyo": (35.6812, 139.7671),
    "Reykjavík": (64.1355, -21.8954),
    "Porto": (41.1485, -8.6110),
    "Stockholm": (59.3294, 18.0687),
}


def cell(name: str, resolution: int = 9) -> str:
    return str(h3.latlng_to_cell(*CITIES[name], resolution))


def is_far(item: dict[str, Any], user: dict[str, Any], *, radius_km: float = RADIUS_KM) -> bool:
    places = GeoIndex()
    places.put(0, item.get("cell"), item.get("city"))
    where = geo_location(user.get("cell"), user.get("city"), user.get("timezone", ""))
    return places.not_near(1, where, radius_km=radius_km).tolist() == [0]


WAYS = ("cell", "city", "both")


def told(way: str, name: str) -> dict[str, Any]:
    return {
        "cell": {"cell": cell(name)},
        "city": {"city": name},
        "both": {"cell": cell(name), "city": name},
    }[way]


@pytest.mark.parametrize("item", WAYS)
@pytest.mark.parametrize("user", WAYS)
@pytest.mark.parametrize("there", CITIES)
@pytest.mark.parametrize("here", CITIES)
def test_an_item_is_near_to_users_in_its_city_and_far_from_all_others(
    item: str, user: str, there: str, here: str
) -> None:
    assert is_far(told(item, there), told(user, here)) == (there != here)


@pytest.mark.parametrize("user", [{}, {"cell": cell("Berlin")}, {"city": "Berlin"}, {"city": "Kleindorf"}])
@pytest.mark.parametrize("item", [{}, {"cell": "not a cell"}, {"city": " "}, {"city": ""}])
def test_an_item_that_is_tied_to_no_place_is_near_to_everybody(item: dict[str, Any], user: dict[str, Any]) -> None:
    assert not is_far(item, user)


@pytest.mark.parametrize("user", [{}, {"cell": "garbage"}, {"city": ""}, {"city": "!"}, {"timezone": "Europe/Berlin"}])
@pytest.mark.parametrize("item", WAYS)
def test_an_item_with_a_location_is_far_from_users_without_one(item: str, user: dict[str, Any]) -> None:
    assert is_far(told(item, "Berlin"), user)
    assert geo_location(user.get("cell"), user.get("city")) == UNKNOWN_LOCATION


@pytest.mark.parametrize(
    ("item", "user", "far"),
    [
        ({"city": "München"}, {"city": "Munich"}, False),
        ({"city": "Munich"}, {"cell": str(h3.latlng_to_cell(48.137, 11.575, 7))}, False),
        ({"city": "REYKJAVIK"}, {"city": "Reykjavík"}, False),
        ({"city": "Brooklyn"}, {"city": "New York"}, False),
        ({"city": "Potsdam"}, {"city": "Berlin"}, False),
        ({"city": "Portland"}, {"city": "Portland, Oregon"}, False),
        ({"city": "Portland"}, {"city": "Portland, Maine"}, True),
        ({"city": "Paris"}, {"city": "Paris, Texas"}, True),
        ({"city": "Porto"}, {"city": "Bordeaux"}, True),
        ({"city": "Portland", "cell": str(h3.latlng_to_cell(43.66, -70.25, 9))}, {"city": "Portland"}, True),
        (
            {"city": "Portland", "cell": str(h3.latlng_to_cell(43.66, -70.25, 9))},
            {"city": "Portland", "timezone": "America/New_York"},
            False,
        ),
        ({"city": "Berlin", "cell": cell("Tokyo")}, {"city": "Berlin"}, True),
        ({"city": "Berlin", "cell": cell("Tokyo")}, {"cell": cell("Tokyo")}, False),
        ({"city": "Berlin"}, {"city": "Berlin", "cell": cell("Tokyo")}, True),
        ({"city": "Tokyo"}, {"city": "Berlin", "cell": cell("Tokyo")}, False),
        # A village that the gazetteer does not know.
        ({"city": "Kleindorf"}, {"city": "kleindorf"}, False),
        ({"city": "Kleindorf"}, {"city": "Grossdorf"}, True),
        ({"city": "Kleindorf"}, {"city": "Berlin"}, True),
        ({"city": "Berlin"}, {"city": "Kleindorf"}, True),
        ({"city": "Kleindorf", "cell": cell("Berlin")}, {"city": "Kleindorf"}, False),
        ({"city": "Kleindorf", "cell": cell("Berlin")}, {"city": "Berlin"}, False),
        ({"city": "Kleindorf"}, {"city": "Kleindorf", "cell": cell("Berlin")}, False),
        ({"city": "Kleindorf"}, {"cell": cell("Berlin")}, True),
        ({"city": "Kleindorf", "cell": cell("Tokyo")}, {"city": "Kleindorf", "cell": cell("Berlin")}, True),
    ],
)
def test_names_cells_and_both_are_compared(item: dict[str, Any], user: dict[str, Any], far: bool) -> None:
    assert is_far(item, user) is far


def at(north_km: float, resolution: int = 9) -> str:
    """Return a cell so far north of Berlin's centre."""
    return str(h3.latlng_to_cell(52.52437 + north_km / 111.2, 13.41053, resolution))


@pytest.mark.parametrize(
    ("item", "user", "far"),
    [
        ({"cell": at(0)}, {"cell": at(4)}, False),
        ({"cell": at(0)}, {"cell": at(8)}, True),
        ({"cell": at(15)}, {"city": "Berlin"}, False),
        ({"city": "Berlin"}, {"cell": at(15)}, False),
        ({"cell": at(35)}, {"city": "Berlin"}, True),
        ({"city": "Berlin"}, {"cell": at(35)}, True),
        ({"cell": at(15, resolution=5)}, {"cell": at(8)}, False),
    ],
)
def test_in_a_small_radius_a_city_is_as_large_as_it_is(item: dict[str, Any], user: dict[str, Any], far: bool) -> None:
    assert is_far(item, user, radius_km=5.0) is far


def test_an_item_that_moves_is_where_it_was_put_last() -> None:
    places, lisbon = GeoIndex(), geo_location(cell("Lisbon"), None)
    places.put(0, cell("Berlin"), "Berlin")
    assert places.not_near(1, lisbon, radius_km=RADIUS_KM).tolist() == [0]
    places.put(0, cell("Lisbon"), None)
    assert places.not_near(1, lisbon, radius_km=RADIUS_KM).tolist() == []
    places.put(0, None, "Berlin")
    assert places.not_near(1, lisbon, radius_km=RADIUS_KM).tolist() == [0]
    places.put(0, None, None)
    assert places.with_location(1).tolist() == places.not_near(1, lisbon, radius_km=RADIUS_KM).tolist() == []


def test_there_is_room_for_any_number_of_items() -> None:
    places = GeoIndex()
    places.put(4_999, None, "Berlin")
    assert (
        places.not_near(5_000, UNKNOWN_LOCATION, radius_km=RADIUS_KM).tolist()
        == places.with_location(5_000).tolist()
        == [4_999]
    )
    assert places.not_near(4_999, UNKNOWN_LOCATION, radius_km=RADIUS_KM).tolist() == []


points = st.tuples(st.floats(-89, 89), st.floats(-180, 180))


@given(points, st.floats(-1, 1), st.floats(-1, 1), st.sampled_from((0.5, 5.0, 50.0, 500.0)))
def test_between_two_cells_distance_alone_decides(
    here: tuple[float, float], north: float, east: float, radius_km: float
) -> None:
    there = max(-89.9, min(89.9, here[0] + north)), (here[1] + east + 180) % 360 - 180
    one, other = (str(h3.latlng_to_cell(*point, 9)) for point in (here, there))
    km = h3.great_circle_distance(h3.cell_to_latlng(one), h3.cell_to_latlng(other))
    if abs(km - radius_km) > 0.01:
        assert is_far({"cell": other}, {"cell": one}, radius_km=radius_km) == (km > radius_km)


@given(points, points, st.sampled_from((1.0, 50.0)))
def test_near_goes_both_ways(here: tuple[float, float], there: tuple[float, float], radius_km: float) -> None:
    one, other = ({"cell": str(h3.latlng_to_cell(*point, 8))} for point in (here, there))
    assert is_far(one, other, radius_km=radius_km) == is_far(other, one, radius_km=radius_km)


@given(st.text(max_size=12), st.text(max_size=12))
def test_a_name_is_near_to_itself_and_no_name_makes_trouble(one: str, other: str) -> None:
    assert not is_far({"city": one}, {"city": one})
    if plain(one) and plain(other):
        assert is_far({"city": one}, {"city": other}) == is_far({"city": other}, {"city": one})


def test_a_spot_is_known_by_its_point_or_by_its_name() -> None:
    assert geo_location("garbage", "Kleindorf") == GeoLocation(city="kleindorf")
    assert geo_location(cell("Berlin"), None).is_exact
    assert not geo_location(cell("Berlin", 5), None).is_exact
    assert CITY_KM < RADIUS_KM


def test_names_of_any_length_are_compared_and_long_ones_are_not_remembered() -> None:
    name = "漢" * 1_024
    cache_size = _spot.cache_info().currsize
    assert not is_far({"city": name}, {"city": name})
    assert is_far({"city": name}, {"city": name[1:]})
    assert _spot.cache_info().currsize == cache_size


def test_distances_are_those_on_the_ground_and_infinite_without_a_point() -> None:
    places = GeoIndex()
    for index, name in enumerate(("Lisbon", "Porto", "Tokyo")):
        places.put(index, cell(name), None)
    places.put(4, None, None)
    lisbon = places.first_point(np.array([4, 9_999, 0, 1], np.int32))
    assert lisbon is not None
    assert places.first_point(np.array([4, 9_999], np.int32)) is None
    km = places.distances(2_000, lisbon)
    assert km[:2].tolist() == pytest.approx([0.0, 274.0], abs=2.0)
    assert km[2] > 8_000
    assert np.isinf(km[3:]).all()
    assert len(km) == 2_000
