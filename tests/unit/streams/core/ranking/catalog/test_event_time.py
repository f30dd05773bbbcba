"""When items take place: how near that is, when it is over, and how it is said."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from streams.core.ranking.catalog import event_time

FRIDAY = "2026-11-20T17:00"


def at(text: str) -> int:
    return event_time.validity_window(text)[0]


@pytest.mark.parametrize("starts", [None, "", "soon", "2026-13-01", "25:00"])
def test_what_says_no_time_is_there_at_any_time(starts: str | None) -> None:
    assert event_time.validity_window(starts) == event_time.ALWAYS


def test_an_hour_is_over_before_its_day_is() -> None:
    assert event_time.validity_window("2026-11-20T20:00")[1] == at("2026-11-20T23:00")
    assert event_time.validity_window("2026-11-20")[1] == at("2026-11-21")


def test_a_local_time_is_that_of_the_zone() -> None:
    noon_in_london_ms = at("2026-11-20T12:00")
    assert event_time.local_ms(noon_in_london_ms, ZoneInfo("America/New_York")) == at("2026-11-20T07:00")


def test_what_comes_sooner_is_nearer_and_what_has_begun_is_nearest() -> None:
    times = ["2026-11-20T16:00", FRIDAY, "2026-11-20T20:00", "2026-11-21T17:00", "2026-11-22T17:00", "2027-11-22"]
    near = event_time.recency_score(np.array([at(text) for text in times]), at(FRIDAY))
    assert near[:2].tolist() == [1.0, 1.0]
    assert near[3:5].tolist() == pytest.approx([1 / 2, 1 / 3])
    assert (np.diff(near[1:]) < 0).all()


@pytest.mark.parametrize(
    ("starts", "text"),
    [
        ("2026-11-20T20:00", "Tonight"),
        ("2026-11-20T16:00", "Today"),
        ("2026-11-20", "Today"),
        ("2026-11-21T11:00", "Tomorrow"),
        ("2026-11-22T11:00", "This Sunday"),
        ("2026-12-04", "On 4 December"),
    ],
)
def test_a_time_is_said_as_to_a_friend(starts: str, text: str) -> None:
    assert event_time.format_relative_date(at(starts), at(FRIDAY)) == text
