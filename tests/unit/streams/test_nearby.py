"""Who is near what: by cell where there is one, by city where not, and nobody is far from what is nowhere."""

import h3
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.core.nearby import Places
from tests.build import LISBON, NEW_YORK

RADIUS_KM = 50.0


def the_places() -> Places:
    places = Places()
    places.put(0, NEW_YORK, "New York")
    places.put(1, LISBON, "Lisbon")
    places.put(2, None, "Lisbon")
    places.put(3, None, None)
    places.put(4, "not a cell", None)
    return places


def far(cell: str | None, city: str | None = None) -> list[int]:
    return np.flatnonzero(the_places().far(5, cell, city, radius_km=RADIUS_KM)).tolist()


def test_what_is_in_another_city_is_far() -> None:
    assert far(NEW_YORK) == [1, 2]
    assert far(LISBON) == [0]


def test_a_city_alone_tells_far_from_near() -> None:
    assert far(None, "lisbon") == [0]
    assert far(None, "Reykjavík") == [0, 1, 2]


def test_a_ping_counts_more_than_the_city_of_the_profile() -> None:
    assert far(LISBON, "New York") == [0]


def test_nothing_is_far_from_who_is_nowhere() -> None:
    assert far(None) == far("garbage") == []


def test_where_no_city_is_known_an_item_with_only_a_city_is_not_shut_out() -> None:
    ocean = h3.latlng_to_cell(0.0, -30.0, 7)
    assert far(ocean) == [0, 1]


def test_the_city_of_the_nearest_item_is_told() -> None:
    places = the_places()
    newark = h3.latlng_to_cell(40.7357, -74.1724, 7)
    assert places.city_near(newark, radius_km=RADIUS_KM) == "New York"
    assert places.city_near(h3.latlng_to_cell(0.0, -30.0, 7), radius_km=RADIUS_KM) is None


def test_an_item_that_moves_is_where_it_was_put_last() -> None:
    places = the_places()
    places.put(0, None, None)
    assert not places.far(1, LISBON, None, radius_km=RADIUS_KM)[0]


def test_there_is_room_for_items_nobody_has_placed() -> None:
    assert not the_places().far(5_000, NEW_YORK, None, radius_km=RADIUS_KM)[4_999]


@given(st.floats(-89, 89), st.floats(-180, 180), st.floats(-1, 1), st.floats(-1, 1))
def test_far_is_what_is_further_than_the_radius(lat: float, lon: float, north: float, east: float) -> None:
    here = h3.latlng_to_cell(lat, lon, 9)
    there = h3.latlng_to_cell(max(-89.9, min(89.9, lat + north)), (lon + east + 180) % 360 - 180, 9)
    places = Places()
    places.put(0, there, None)
    km = h3.great_circle_distance(h3.cell_to_latlng(here), h3.cell_to_latlng(there))
    if abs(km - RADIUS_KM) > 2:  # vectors are of single precision
        assert places.far(1, here, None, radius_km=RADIUS_KM)[0] == (km > RADIUS_KM)
