"""How much a rating says, on the scale it was given on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.weight import is_on_scale, is_positive, rating_of, weight_of

SCALES = (1.0, 4.0, 5.0, 7.0, 10.0, 20.0, 100.0)


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
    assert rating_of("rate", value, scale) == pytest.approx(value / scale)


@given(st.sampled_from(SCALES), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_rating_never_says_less(scale: float, one: float, other: float) -> None:
    low, high = sorted((one * scale, other * scale))
    assert -1.0 <= weight_of("rate", low, scale) <= weight_of("rate", high, scale) <= 1.0
    assert 0.0 <= (rating_of("rate", low, scale) or 0.0) <= (rating_of("rate", high, scale) or 0.0) <= 1.0


@given(st.sampled_from(SCALES), st.floats(0, 1))
def test_the_same_share_of_any_scale_says_the_same(scale: float, share: float) -> None:
    assert weight_of("rate", share * scale, scale) == pytest.approx(weight_of("rate", share * 5.0), abs=1e-9)


def test_what_is_above_the_scale_is_not_on_it_and_never_counts_more() -> None:
    assert not is_on_scale("rate", 9.0, 5.0)
    assert is_on_scale("rate", 9.0, 10.0)
    assert is_on_scale("view", 9.0, 5.0)
    assert weight_of("rate", 9.0, 5.0) == weight_of("rate", 5.0, 5.0)
