"""Cities by name and by position: which city a name means, and which city a point lies in."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import gazetteer
from domain.gazetteer import find_city, nearest_city


def key(name: str, timezone: str = "") -> str | None:
    city = find_city(name, timezone)
    return None if city is None else city.key


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ("Berlin", "berlin", " BERLIN ", "Berlín", "Берлин", "ベルリン", "Berlin, Germany", "Berlin, DE"),
            "berlin de 16",
        ),
        (("Munich", "München", "MÜNCHEN", "Muenchen", "Monaco di Baviera", "München, Bayern"), "munich de 02"),
        (("Reykjavik", "Reykjavík", "reykjavík, Iceland"), "reykjavik is 39"),
        (("New York", "New York City", "NYC", "new york, NY", "New York, USA", "Nueva York"), "new york city us ny"),
        (("Lisbon", "Lisboa", "Lissabon", "Lisbon, Portugal", "Lisboa (PT)"), "lisbon pt 14"),
        (("Köln", "Koln", "Cologne", "Köln, Deutschland"), "koln de 07"),
        (("Tokyo", "東京", "Tōkyō", "Tokio"), "tokyo jp 40"),
        (("Mexico City", "Ciudad de México", "CDMX", "Mexico City, Mexico"), "mexico city mx 09"),
        (("Vienna", "Wien", "Wien, Österreich", "Vienna, Austria"), "vienna at 09"),
        (("Porto", "Oporto", "Porto, Portugal"), "porto pt 17"),
        (("Mumbai", "Bombay"), "mumbai in 16"),
        (("Frankfurt", "Frankfurt am Main"), "frankfurt am main de 05"),
        (("Frankfurt (Oder)", "Frankfurt an der Oder"), "frankfurt oder de 11"),
        (("Washington", "Washington, DC", "Washington D.C."), "washington us dc"),
    ],
)
def test_a_city_is_found_by_any_of_its_names(names: tuple[str, ...], expected: str) -> None:
    assert {name: key(name) for name in names} == dict.fromkeys(names, expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Portland", "portland us or"),
        ("Portland, Oregon", "portland us or"),
        ("Portland, Maine", "portland us me"),
        ("Portland, ME, USA", "portland us me"),
        ("Paris", "paris fr 11"),
        ("Paris, Texas", "paris us tx"),
        ("Paris (Texas)", "paris us tx"),
        ("Paris, TX; United States", "paris us tx"),
        ("San José", "san jose us ca"),
        ("San José, Costa Rica", "san jose cr 08"),
        ("San Jose, CR", "san jose cr 08"),
        ("Springfield", "springfield us mo"),
        ("Springfield, IL", "springfield us il"),
        ("Springfield, Massachusetts", "springfield us ma"),
        ("London", "london gb eng"),
        ("London, England", "london gb eng"),
        ("London, Canada", "london ca 08"),
        ("Athens", "athens gr esye31"),
        ("Athens, Georgia", "athens us ga"),
        ("Tbilisi, Georgia", "tbilisi ge 51"),
        ("Cambridge, MA", "cambridge us ma"),
        ("Birmingham", "birmingham gb eng"),
        ("Birmingham, AL", "birmingham us al"),
    ],
)
def test_of_cities_of_one_name_the_largest_is_found_unless_a_country_or_state_is_given(
    name: str, expected: str
) -> None:
    assert key(name) == expected


@pytest.mark.parametrize(
    ("name", "timezone", "expected"),
    [
        ("Portland", "America/New_York", "portland us me"),
        ("Valencia", "", "valencia ve 07"),
        ("Valencia", "Europe/Madrid", "valencia es 60"),
        ("San José", "America/Costa_Rica", "san jose cr 08"),
        ("London", "America/Toronto", "london ca 08"),
        ("Paris", "America/Chicago", "paris fr 11"),  # a traveller, rather than somebody of Paris, Texas
        ("Porto", "Europe/Paris", "porto pt 17"),
        ("Berlin", "Asia/Tokyo", "berlin de 16"),
        ("Berlin", "not a zone", "berlin de 16"),
        ("Paris, Texas", "Europe/Paris", "paris us tx"),
    ],
)
def test_the_time_zone_of_a_user_distinguishes_cities_of_one_name(name: str, timezone: str, expected: str) -> None:
    assert key(name, timezone) == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ",",
        "()",
        "Kleindorf am See",
        "Paris, Japan",
        "London, Ontario",
        "Springfield, Gondor",
        "12345",
    ],
)
def test_an_unknown_or_ambiguous_name_is_no_city(name: str) -> None:
    assert find_city(name) is None


@pytest.mark.parametrize(
    ("point", "label"),
    [
        ((40.7309, -73.9973), "New York City"),
        ((40.72, -74.05), "New York City"),
        ((38.7139, -9.1394), "Lisbon"),
        ((52.5163, 13.3777), "Berlin"),
        ((52.44, 13.58), "Berlin"),
        ((52.4, 13.06), "Potsdam"),
        ((59.3, 18.0), "Stockholm"),
        ((64.1, -21.9), "Reykjavík"),
        ((41.15, -8.62), "Porto"),
        ((43.66, -70.25), "Portland, Maine"),
        ((39.47, -0.37), "Valencia, Spain"),
        ((0.0, -30.0), None),
        ((90.0, 0.0), None),
    ],
)
def test_a_point_lies_in_the_city_around_it_and_its_label_means_that_city(
    point: tuple[float, float], label: str | None
) -> None:
    city = nearest_city(*point, radius_km=50.0)
    assert (city.label if city else None) == label
    assert city is None or find_city(city.label) == city


@given(st.text(max_size=40), st.sampled_from(("", "Europe/Berlin", "nonsense")))
def test_no_name_is_too_strange(name: str, timezone: str) -> None:
    city = find_city(name, timezone)
    assert city is None or city.population >= 0


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(0.1, 30_000))
def test_no_point_is_too_far_off(latitude: float, longitude: float, radius_km: float) -> None:
    city = nearest_city(latitude, longitude, radius_km=radius_km)
    assert city is not None or radius_km < 5_000


def test_labels_of_large_cities_mean_these_cities_everywhere() -> None:
    points = [(city.point, city) for name in NAMES if (city := find_city(name)) is not None]
    assert len(points) == len(NAMES)
    for point, city in random.Random(7).sample(points, len(points)):
        found_city = nearest_city(*point, radius_km=10.0)
        assert found_city is not None
        assert find_city(found_city.label) == found_city == city


NAMES = (
    *("São Paulo", "Cairo", "Lagos", "Jakarta", "Delhi", "Sydney", "Toronto", "Nairobi", "Kyiv", "Hanoi", "Bogotá"),
    *("Kraków", "Zürich", "Göteborg", "Łódź", "Málaga", "Tromsø", "İzmir", "Đà Nẵng", "Asunción", "Nürnberg"),
)


def test_the_gazetteer_is_read_once() -> None:
    gazetteer.load()
    assert find_city("Berlin") is find_city("Berlin")
