"""Times in the wild: zones, units by size, and the order of day and month by the column."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.tables import timestamp

OCTOBER_MS = 1_569_888_000_000
"""2019-10-01 00:00 UTC."""


def one(text: object, *others: object) -> int:
    time_ms = timestamp.read([text, *others])[0]
    if isinstance(time_ms, ValueError):
        raise time_ms
    return time_ms


@pytest.mark.parametrize(
    "text",
    [
        "2019-10-01 00:00:00 UTC",
        "2019-10-01 00:00:00 GMT",
        "2019-10-01 00:00:00 Z",
        "2019-10-01T00:00:00Z",
        "2019-10-01T00:00:00.000Z",
        "2019-10-01 00:00:00",
        "2019-10-01",
        "2019-10-01 02:00:00+02:00",
        "2019-10-01 02:00:00 +0200",
        "2019-10-01T02:00:00+02",
        "2019-10-01 03:00:00 UTC+3",
        "2019-09-30 18:30 GMT-05:30",
        "2019-10-01 02:00:00 Europe/Berlin",
        "2019/10/01 00:00",
        "20191001",
        "20191001000000",
        "Tue, 01 Oct 2019 00:00:00 GMT",
        "Tue Oct 01 00:00:00 +0000 2019",
        "1 Oct 2019",
        "Oct 1, 2019 12:00 AM",
        "01-Oct-2019",
        "01.10.2019 00:00",
        "1569888000",
        "1569888000.0",
        "1569888000000",
        "1569888000000000",
        "1569888000000000000",
        1_569_888_000,
        1_569_888_000.0,
        datetime(2019, 10, 1, tzinfo=UTC),
        datetime(2019, 10, 1, 2, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_a_spelling_means_its_time(text: object) -> None:
    assert one(text) == OCTOBER_MS


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "NaN", "None", "tomorrow", "2019-10", "10:30", "Oct 2019", "2019-10-01 25:00", "2019-13-01",
        "31/02/2019", "32/13/2019", "2019-10-01 00:00:00 EST", "2019-10-01 00:00:00 IST", "19-12-31", "31-12-19",
        "1-Oct-19", "2019", "10/11/12", "-1", "1969-12-31", "inf", "1e400",
        "5 apples 2019", "9" * 200, "2019-10-01" * 20,
    ],
)  # fmt: skip
def test_what_is_no_whole_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a time|is missing|before 1970"):
        one(text)


@pytest.mark.parametrize(
    ("text", "other", "day", "month"),
    [
        ("01/02/2019", "31/12/2019", 1, 2),
        ("01/02/2019", "12/31/2019", 2, 1),
        ("01-02-2019", "31-12-2019 10:00", 1, 2),
        ("01/02/2019 13:05", "13/01/2019 13:05:00 UTC", 1, 2),
        ("1/2/2019 1:05 PM", "1/13/2019", 2, 1),
        ("01.02.2019", "03.04.2019", 1, 2),
        ("05/05/2019", "01/02/2019", 5, 5),
    ],
)
def test_the_column_shows_whether_the_day_or_the_month_comes_first(text: str, other: str, day: int, month: int) -> None:
    time = datetime.fromtimestamp(one(text, other) / 1_000, UTC)
    assert (time.day, time.month) == (day, month)


@pytest.mark.parametrize("others", [[], ["05/05/2019"], ["31/12/2019", "12/31/2019"], ["2019-10-01"]])
def test_a_date_that_may_be_two_is_refused(others: list[str]) -> None:
    with pytest.raises(ValueError, match="may begin with the day or the month"):
        one("01/02/2019", *others)


def test_a_number_of_another_unit_is_refused() -> None:
    times = timestamp.read(["1396860669000", "1396860669", "1396860670000"])
    assert times[::2] == [1_396_860_669_000, 1_396_860_670_000]
    assert str(times[1]) == "the time '1396860669' counts seconds, most others milliseconds"


@pytest.mark.parametrize(
    ("time", "problem"),
    [
        (datetime(1931, 1, 1, tzinfo=UTC), "lies before 1970"),
        (datetime(1, 1, 1), "lies before 1970"),
        ("1969-12-31", "lies before 1970"),
        ("31/12/1969", "lies before 1970"),
        ("-1", "lies before 1970"),
        ("1e30", "lies after the year 9999"),
        (1e300, "lies after the year 9999"),
        ("9" * 40, "lies after the year 9999"),
        ("9999-12-31T23:59:59-12:00", "lies after the year 9999"),
        ("1e400", "lies before 1970 or nowhere"),
    ],
)
def test_a_time_outside_of_the_calendar_is_refused(time: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        one(time)


@given(st.datetimes(datetime(1970, 1, 2), datetime(2199, 1, 1)), st.sampled_from(("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y")))
def test_a_date_is_read_as_itself_or_refused(when: datetime, form: str) -> None:
    others = [datetime(2019, 12, 31).strftime(form)]
    assert one(when.strftime(f"{form} %H:%M:%S"), *others) == int(when.replace(tzinfo=UTC).timestamp()) * 1_000


@given(st.lists(st.text(max_size=30), max_size=5))
def test_any_text_is_a_time_or_refused(texts: list[str]) -> None:
    assert all(isinstance(time, ValueError) or time >= 0 for time in timestamp.read(texts))
