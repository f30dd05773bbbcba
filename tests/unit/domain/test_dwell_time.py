"""Dwell time as feedback."""

from __future__ import annotations

import pytest

from domain.dwell_time import watched_share
from models.weight import is_positive, weight_of


@pytest.mark.parametrize(
    ("duration_s", "is_positive_view"), [(0.0, False), (1.0, False), (29.0, False), (30.0, True), (600.0, True)]
)
def test_a_view_is_positive_feedback_from_half_a_minute_on(duration_s: float, is_positive_view: bool) -> None:
    assert is_positive(weight_of("view", watched_share(duration_s))) is is_positive_view


def test_longer_views_weigh_more_and_none_more_than_a_click() -> None:
    weights = [weight_of("view", watched_share(float(seconds))) for seconds in (0, 1, 10, 100, 1_000, 1_000_000)]
    assert weights == sorted(weights)
    assert weights[0] == weight_of("view", None)
    assert weights[-1] <= weight_of("click", None)
