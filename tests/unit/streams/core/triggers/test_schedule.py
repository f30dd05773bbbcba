"""When slots are due: local time, clocks that are moved, and intervals that may be cut anywhere."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.timestamp import DAY_MS
from domain.zone import zone_named
from streams.core.triggers.schedule import due_slots, parse

FRIDAY = parse("fri 17:00 friday-evening")


def ms(text: str, zone: str = "UTC") -> int:
    """Return the time of a local date and hour."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def in_utc(slots: list[tuple[int, object, str]]) -> list[str]:
    return [datetime.fromtimestamp(slot[0] / 1000, UTC).strftime("%Y-%m-%d %H:%M") for slot in slots]


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("America/New_York", "2023-11-17 22:00"),
        ("Europe/Lisbon", "2023-11-17 17:00"),
        ("Asia/Kolkata", "2023-11-17 11:30"),
        ("Pacific/Kiritimati", "2023-11-17 03:00"),
    ],
)
def test_friday_evening_is_when_it_is_evening_there(zone: str, expected: str) -> None:
    week = due_slots(FRIDAY, ZoneInfo(zone), ms("2023-11-13"), ms("2023-11-20"))
    assert in_utc(week) == [expected]
    assert (week[0].day.isoformat(), week[0].reason) == ("2023-11-17", "friday-evening")


def test_an_interval_ends_with_its_end_and_not_before() -> None:
    at_ms = ms("2023-11-17 17:00")
    assert due_slots(FRIDAY, ZoneInfo("UTC"), at_ms - 1, at_ms)
    assert not due_slots(FRIDAY, ZoneInfo("UTC"), at_ms, at_ms + 1)
    assert not due_slots(FRIDAY, ZoneInfo("UTC"), at_ms - 2, at_ms - 1)


def test_evening_stays_evening_when_the_clocks_are_moved() -> None:
    daily = parse("daily 18:00 evening")
    slots = due_slots(daily, ZoneInfo("America/New_York"), ms("2023-11-04 12:00"), ms("2023-11-06 12:00"))
    assert in_utc(slots) == ["2023-11-04 22:00", "2023-11-05 23:00"]


def test_an_hour_that_is_skipped_is_due_an_hour_later_by_the_clock() -> None:
    night = parse("sun 02:30 night")
    slots = due_slots(night, ZoneInfo("America/New_York"), ms("2024-03-09 12:00"), ms("2024-03-11 12:00"))
    assert in_utc(slots) == ["2024-03-10 07:30"]
    assert datetime.fromtimestamp(slots[0].at_ms / 1000, ZoneInfo("America/New_York")).strftime("%H:%M") == "03:30"


def test_an_hour_that_comes_twice_is_due_once() -> None:
    night = parse("sun 01:30 night")
    slots = due_slots(night, ZoneInfo("America/New_York"), ms("2023-11-04 12:00"), ms("2023-11-06 12:00"))
    assert in_utc(slots) == ["2023-11-05 05:30"]


def test_nothing_is_due_on_a_day_that_a_country_skipped() -> None:
    daily = parse("daily 17:00 evening")
    slots = due_slots(
        daily, ZoneInfo("Pacific/Apia"), ms("2011-12-28", "Pacific/Apia"), ms("2012-01-02", "Pacific/Apia")
    )
    assert [slot.day.day for slot in slots] == [28, 29, 31, 1]


def test_off_is_never_due() -> None:
    assert not due_slots(parse("off"), ZoneInfo("UTC"), 0, ms("2023-11-17"))


def test_slots_come_in_the_order_of_their_time() -> None:
    slots = due_slots(parse("daily 18:00 late, daily 07:30 early"), ZoneInfo("UTC"), ms("2023-11-17"), ms("2023-11-19"))
    assert [slot.reason for slot in slots] == ["early", "late"] * 2


@given(
    st.sampled_from(["America/New_York", "Europe/London", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca"]),
    st.integers(ms("2011-12-20"), ms("2012-01-05")) | st.integers(ms("2023-01-01"), ms("2024-12-31")),
    st.lists(st.integers(1, DAY_MS), max_size=12),
)
def test_an_interval_gives_what_its_parts_give(zone: str, start_ms: int, steps: list[int]) -> None:
    table = parse("daily 00:15 midnight, daily 01:45 night, sun 02:15 gap, fri 17:00 evening")
    parts, at_ms = [], start_ms
    for step in steps:
        parts += due_slots(table, ZoneInfo(zone), at_ms, at_ms + step)
        at_ms += step
    whole = due_slots(table, ZoneInfo(zone), start_ms, at_ms)
    assert parts == whole
    assert len({(slot.day, slot.reason) for slot in whole}) == len(whole)


@pytest.mark.parametrize("name", ["", "localtime", "America", "../etc/passwd", "/etc/localtime", "Mars/Olympus"])
def test_what_is_no_time_zone_is_none(name: str) -> None:
    assert zone_named(name) is None
