"""What counts as the same thing under several names, and what does not."""

import pytest

from domain.identity import Identity, city_key, identity


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (identity("The Blue Note!"), identity("blue note")),
        (identity("Café  Müller"), identity("cafe muller")),
        (identity("Alien (1979)"), identity("Alien", year="1979")),
        (identity("Alien (1979)"), identity("alien")),
        (identity("Ridge Trail", city="New York"), identity("ridge trail", city="NEW YORK")),
        (identity("Ridge Trail", city="New York"), identity("Ridge Trail")),
        (identity("Ridge Trail", city="München"), identity("Ridge Trail", city="Munich")),
        (identity("Ridge Trail", city="Kleindorf"), identity("Ridge Trail", city="KLEINDORF")),
        (identity("Rock 'n' Roll"), identity("Rock n Roll")),
        (identity("東京 ジャズ"), identity("東京  ジャズ")),
    ],
)
def test_the_same_thing_is_recognised(one: Identity, other: Identity) -> None:
    assert one.is_same(other)
    assert other.is_same(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (identity("Dune (1984)"), identity("Dune (2021)")),
        (identity("Ridge Trail", city="New York"), identity("Ridge Trail", city="Lisbon")),
        (identity("Ridge Trail", city="Portland"), identity("Ridge Trail", city="Portland, Maine")),
        (identity("Blue Note"), identity("Blue Note Jazz Club")),
        (identity("!!!"), identity("???")),
        (identity("1984"), identity("2001")),
    ],
)
def test_different_things_are_not(one: Identity, other: Identity) -> None:
    assert not one.is_same(other)


def test_a_city_without_a_name_has_no_key() -> None:
    assert city_key(None) == city_key(" ") == ""
    assert city_key("São Paulo") == city_key("Sao Paulo, Brazil") == "sao paulo br 27"
    assert city_key("Kleindorf am See") == "kleindorf am see"
