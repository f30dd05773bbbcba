"""How much a rating says, on the scale it was given on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.weight import event_rating, event_weight, is_on_scale, is_positive, weight_of
from schemas.types import Interaction
from tests.build import an_interaction

SCALES = (1.0, 4.0, 5.0, 7.0, 10.0, 20.0, 100.0)


def a_rate(value: float) -> Interaction:
    return an_interaction(action="rate", value=value)


@pytest.mark.parametrize(
    ("value", "scale", "weight", "liking"),
    [
        (5.0, 5.0, 1.0, True),
        (4.0, 5.0, 0.6, True),
        (3.5, 5.0, 0.4, False),
        (2.5, 5.0, 0.0, False),
        (0.0, 5.0, -1.0, False),
        (10.0, 10.0, 1.0, True),
        (8.0, 10.0, 0.6, True),
        (7.0, 10.0, 0.4, False),
        (4.0, 10.0, -0.2, False),
        (1.0, 1.0, 1.0, True),
        (80.0, 100.0, 0.6, True),
    ],
)
def test_a_rating_counts_by_its_scale(value: float, scale: float, weight: float, liking: bool) -> None:
    assert weight_of("rate", value, scale) == pytest.approx(weight)
    assert is_positive(weight_of("rate", value, scale)) is liking
    assert event_rating(a_rate(value), scale) == pytest.approx(value / scale)


@given(st.sampled_from(SCALES), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_rating_never_says_less(scale: float, one: float, other: float) -> None:
    low, high = sorted((one * scale, other * scale))
    assert -1.0 <= weight_of("rate", low, scale) <= weight_of("rate", high, scale) <= 1.0
    assert 0.0 <= (event_rating(a_rate(low), scale) or 0.0) <= (event_rating(a_rate(high), scale) or 0.0) <= 1.0


@given(st.sampled_from(SCALES), st.floats(0, 1))
def test_the_same_share_of_any_scale_says_the_same(scale: float, share: float) -> None:
    assert weight_of("rate", share * scale, scale) == pytest.approx(weight_of("rate", share * 5.0), abs=1e-9)


def test_what_is_above_the_scale_is_not_on_it_and_never_counts_more() -> None:
    assert not is_on_scale(a_rate(9.0), 5.0)
    assert is_on_scale(a_rate(9.0), 10.0)
    assert is_on_scale(an_interaction(action="view", value=9.0), 5.0)
    assert not is_on_scale(an_interaction(context={"rating": "9"}), 5.0)
    assert weight_of("rate", 9.0, 5.0) == weight_of("rate", 5.0, 5.0)


@pytest.mark.parametrize(
    ("action", "rating", "weight"),
    [
        ("click", "5", 1.0),
        ("click", "4.5", 0.8),
        ("click", "1", -0.6),
        ("view", "5.0", 1.0),
        ("purchase", "5", 5.0),
        ("like", "0", -2.0),
        ("click", "PG-13", 1.0),
        ("click", "nan", 1.0),
        ("dislike", "5", -2.0),
        ("search", "5", 0.0),
    ],
)
def test_a_rating_beside_an_action_weighs_it_as_a_rate(action: str, rating: str, weight: float) -> None:
    event = an_interaction(action=action, context={"rating": rating})
    assert event_weight(event) == pytest.approx(weight)


def test_a_rating_beside_an_action_is_a_rating_of_the_item() -> None:
    assert event_rating(an_interaction(context={"rating": "4"})) == event_rating(a_rate(4.0)) == 0.8
    assert event_rating(an_interaction(action="skip", context={"rating": "4"})) is None
