"""The group of a user by what a profile states."""

import pytest

from streams.core.user.demographic_group import demographic_group


@pytest.mark.parametrize(
    ("attributes", "group"),
    [
        ({"age": "31", "gender": "F", "country": "PT"}, "25-34|f|pt"),
        ({"Age": "17"}, "0-17"),
        ({"age": "18.5", "country": " us "}, "18-24|us"),
        ({"age": "90"}, "65+"),
        ({"age_group": "25-34", "age": "40"}, "25-34"),
        ({"age": "old", "hobby": "chess"}, ""),
        ({"age": "-3"}, ""),
        ({"age": "nan"}, ""),
        ({"age": "inf", "sex": "m"}, "m"),
        ({"country": "x" * 500}, "x" * 32),
        ({}, ""),
    ],
)
def test_a_group_is_made_of_age_gender_and_country(attributes: dict[str, str], group: str) -> None:
    assert demographic_group(attributes) == group
