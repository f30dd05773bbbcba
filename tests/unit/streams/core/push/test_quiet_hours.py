"""Quiet hours: across midnight, across the nights in which clocks are moved, in every zone."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.timestamp import HOUR_MS, MINUTE_MS
from schemas.types import QuietHours
from streams.core.push.quiet_hours import quiet_interval

ZONES = ("America/New_York", "Europe/Lisbon", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "UTC")
CLOCK = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
HOURS = st.builds(QuietHours, start=CLOCK, end=CLOCK, timezone=st.sampled_from(ZONES)).filter(
    lambda hours: hours.start != hours.end
)
MOMENTS = st.integers(1_262_304_000_000, 1_924_992_000_000)
"""2010 to 2030: Apia has skipped a day in it, and Lord Howe moves its clocks by half an hour."""


def ms(text: str, zone: str = "America/New_York", *, fold: int = 0) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def nights(zone: str = "America/New_York") -> QuietHours:
    return QuietHours(start="22:00", end="08:00", timezone=zone)


@pytest.mark.parametrize(
    ("at", "quiet", "until"),
    [
        ("2026-11-20 21:59", False, "2026-11-20 22:00"),
        ("2026-11-20 22:00", True, "2026-11-21 08:00"),
        ("2026-11-21 03:00", True, "2026-11-21 08:00"),
        ("2026-11-21 07:59", True, "2026-11-21 08:00"),
        ("2026-11-21 08:00", False, "2026-11-21 22:00"),
    ],
)
def test_a_night_begins_on_one_day_and_ends_on_the_next(at: str, quiet: bool, until: str) -> None:
    assert quiet_interval(nights(), ms(at)) == (quiet, ms(until))


def test_a_nap_begins_and_ends_on_one_day() -> None:
    nap = QuietHours(start="13:00", end="15:30", timezone="America/New_York")
    assert quiet_interval(nap, ms("2026-11-20 12:00")) == (False, ms("2026-11-20 13:00"))
    assert quiet_interval(nap, ms("2026-11-20 13:00")) == (True, ms("2026-11-20 15:30"))
    assert quiet_interval(nap, ms("2026-11-20 15:30")) == (False, ms("2026-11-21 13:00"))


@pytest.mark.parametrize(
    ("evening", "morning", "hours"),
    [
        ("2026-11-20 22:00", "2026-11-21 08:00", 10),
        ("2026-03-07 22:00", "2026-03-08 08:00", 9),  # the clocks go forward
        ("2026-10-31 22:00", "2026-11-01 08:00", 11),  # and back
    ],
)
def test_a_night_ends_by_the_clock_when_clocks_are_moved(evening: str, morning: str, hours: int) -> None:
    assert quiet_interval(nights(), ms(evening)) == (True, ms(morning))
    assert ms(morning) - ms(evening) == hours * HOUR_MS


def test_a_time_that_is_skipped_comes_as_much_later() -> None:
    hours = QuietHours(start="22:00", end="02:30", timezone="America/New_York")
    assert quiet_interval(hours, ms("2026-03-07 23:00")) == (True, ms("2026-03-08 03:30"))


def test_a_time_that_comes_twice_means_the_first() -> None:
    hours = QuietHours(start="22:00", end="01:30", timezone="America/New_York")
    first, second = ms("2026-11-01 01:30"), ms("2026-11-01 01:30", fold=1)
    assert second - first == HOUR_MS
    assert quiet_interval(hours, ms("2026-10-31 23:00")) == (True, first)
    assert not quiet_interval(hours, second - 20 * MINUTE_MS).quiet


def test_the_clock_is_that_of_the_place() -> None:
    at = ms("2026-11-20 22:30", "Asia/Tokyo")
    assert quiet_interval(nights("Asia/Tokyo"), at).quiet
    assert not quiet_interval(nights("Europe/Lisbon"), at).quiet


@given(HOURS, MOMENTS)
def test_a_spell_ends_later_and_holds_until_then(hours: QuietHours, at_ms: int) -> None:
    quiet, until_ms = quiet_interval(hours, at_ms)
    assert at_ms < until_ms <= at_ms + 51 * HOUR_MS  # 24 hours, the day that Apia has skipped, and moved clocks
    assert quiet_interval(hours, (at_ms + until_ms) // 2) == (quiet, until_ms)
    assert quiet_interval(hours, until_ms - 1) == (quiet, until_ms)


@given(HOURS, MOMENTS)
def test_away_from_moved_clocks_it_is_quiet_by_what_the_clock_shows(hours: QuietHours, at_ms: int) -> None:
    zone = ZoneInfo(hours.timezone)
    local = datetime.fromtimestamp(at_ms / 1000, zone)
    near = (local - timedelta(days=2), local + timedelta(days=2))
    if {moment.utcoffset() for moment in near} == {local.utcoffset()}:
        text = local.strftime("%H:%M")
        within = hours.start <= text < hours.end
        around = text >= hours.start or text < hours.end
        assert quiet_interval(hours, at_ms).quiet == (within if hours.start < hours.end else around)
