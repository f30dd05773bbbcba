"""Data sets as they should not be: what is read of each, which lines are named, or why it is refused."""

from pathlib import Path

import pytest

from loaders import Dataset, DatasetError
from loaders.datasets import detect, movielens

SOURCES = Path(__file__).parent / "files" / "sources"
UNCLOSED = "a quote is not closed at the end of its field"
NOWHERE = "is nowhere on Earth"
NO_VISIT, NO_PLACE = "is no user, place and time", "is no place, latitude and longitude"
READ: list[tuple[str, int, int, int, dict[str, str]]] = [
    ("arrays", 2, 2, 0, {"X.npy:3": NO_VISIT}),
    ("arrays-large-ids", 2, 1, 0, {}),
    (
        "arrays-odd",
        2,
        1,
        0,
        {
            **{f"X.npy:{line}": NO_VISIT for line in range(2, 7)},
            "X_POI.npy:2": "an earlier line has the place 7",
            **{f"X_POI.npy:{line}": NO_PLACE for line in range(3, 6)},
        },
    ),
    (
        "cells.csv",
        3,
        0,
        0,
        {
            **{f"cells.csv:{line}": "is not a number" for line in range(3, 6)},
            "cells.csv:6": "value must be a number from -1e+06 to 1e+06",
        },
    ),
    ("check-ins-quoted.csv", 2, 2, 0, {}),
    (
        "check-ins-odd.txt",
        1,
        1,
        0,
        {
            "check-ins-odd.txt:2": NOWHERE,
            "check-ins-odd.txt:3": NOWHERE,
            "check-ins-odd.txt:4": "user_id must not begin with ~",
            "check-ins-odd.txt:5": "item_id must be 1 to 256 characters",
            "check-ins-odd.txt:6": "lies before 1970",
        },
    ),
    ("check-ins.txt", 2, 2, 0, {"check-ins.txt:3": "'yesterday' is not a time"}),
    ("clicks", 3, 0, 0, {"c_test.txt:3": "the item is missing"}),
    ("clicks-cut-off", 1, 0, 0, {"c_train_full.txt:3": "2 fields instead of 3"}),
    ("header_twice.csv", 1, 0, 0, {}),
    (
        "ids.csv",
        2,
        0,
        0,
        {
            "ids.csv:2": "user_id must not begin with ~",
            "ids.csv:4": "item_id must be in Unicode normalization form C",
            "ids.csv:5": "item_id must hold something that can be seen",
            "ids.csv:6": "item_id must be 1 to 256 characters",
            "ids.csv:7": "the user is missing",
            "ids.csv:8": "the item is missing",
            "ids.csv:9": "user_id must not hold control characters",
        },
    ),
    ("late.csv", 2, 0, 0, {}),
    ("misaligned_quotes.csv", 1, 0, 0, {f"misaligned_quotes.csv:{line}": UNCLOSED for line in range(2, 6)}),
    (
        "ml-100k",
        3,
        3,
        2,
        {"u.data:5": "could not convert", "u.item:4": "'never' does not match", "u.user:3": "unknown value 'X'"},
    ),
    (
        "ml-100k-odd",
        1,
        2,
        1,
        {
            "u.data:2": "the time does not lie between the years 1970 and 9999",
            "u.data:3": "user_id must not begin with ~",
            "u.data:4": "a rating of NaN is not from 0 to 5",
            "u.data:5": "the time '1.5' is not a whole number",
            "u.item:2": "an earlier line has the same id",
            "u.item:3": r"unconverted data remains: \x1b[31m",
            "u.user:2": "an earlier line has the same id",
            "u.user:3": "the age 'x' is not a whole number",
            "u.user:4": "unknown value 'FFF",
        },
    ),
    ("ml-1m", 2, 2, 2, {}),
    (
        "ml-1m-odd",
        1,
        1,
        0,
        {
            "ratings.dat:2": "3 fields are too few",
            "movies.dat:1": "year 0 is out of range",
            "movies.dat:3": "topics has more than 1000 entries",
            "users.dat:1": "an age of -5 is not from 0 to 150",
            "users.dat:2": "is not a whole number",
        },
    ),
    ("ml-latest", 2, 2, 0, {}),
    ("ml-latest-no-header", 2, 0, 0, {}),
    ("ml-latest-old-mac", 2, 1, 0, {}),
    ("ml-latest-quoted", 1, 2, 0, {"ratings.csv:2": UNCLOSED, "movies.csv:2": UNCLOSED}),
    ("old_mac.csv", 2, 0, 0, {}),
    (
        "times.csv",
        2,
        0,
        0,
        {
            "times.csv:2": "counts seconds, most others milliseconds",
            "times.csv:4": "counts nanoseconds, most others milliseconds",
            "times.csv:5": "lies after the year 9999",
            "times.csv:6": "lies before 1970",
        },
    ),
    ("utf16.tsv", 1, 0, 0, {}),
]
REFUSED = [
    ("arrays-bomb", "X.npy: its array cannot be read"),
    ("arrays-broken-header", "X.npy: its array cannot be read"),
    ("arrays-complex", "an array of complex128 instead of numbers"),
    ("arrays-cut-off", "X.npy: its array cannot be read"),
    ("arrays-empty", "not one line can be read; there is none"),
    ("arrays-objects", "X.npy: its array cannot be read"),
    ("arrays-texts", "instead of numbers"),
    ("arrays-zip", "it is not an array that numpy.save has written"),
    ("broken.parquet", "its Parquet cannot be read"),
    ("empty.parquet", "its Parquet cannot be read"),
    ("gzip.csv", "it is compressed with gzip: unpack it"),
    ("json_lines.csv", "it is JSON, not a table"),
    ("parquet.csv", "it is a Parquet file, not text"),
]


def read(name: str) -> Dataset:
    return detect.read(SOURCES / name)


@pytest.mark.parametrize(("name", "events", "items", "profiles", "problems"), READ)
def test_awkward_data_sets(name: str, events: int, items: int, profiles: int, problems: dict[str, str]) -> None:
    data = read(name)
    assert (len(data.interactions), len(data.items), len(data.profiles)) == (events, items, profiles)
    assert [f"{bad.file}:{bad.line}" for bad in data.bad_lines] == list(problems)
    for bad, problem in zip(data.bad_lines, problems.values(), strict=True):
        assert problem in bad.problem


@pytest.mark.parametrize(("name", "problem"), REFUSED)
def test_data_sets_that_cannot_be_read_are_refused(name: str, problem: str) -> None:
    with pytest.raises(DatasetError) as refusal:
        read(name)
    assert problem in str(refusal.value)


def test_every_awkward_data_set_is_tried() -> None:
    assert {case[0] for case in (*READ, *REFUSED)} == {path.name for path in SOURCES.iterdir()}


def test_large_ids_stay_apart() -> None:
    assert {event.user_id for event in read("arrays-large-ids").interactions} == {
        "9007199254740992",
        "9007199254740993",
    }


def test_a_name_of_two_columns_is_noted() -> None:
    data = read("header_twice.csv")
    assert [event.item_id for event in data.interactions] == ["x"]
    assert "several columns are called 'item': the first is read" in data.notes


def test_the_demo_refuses_a_folder_whose_ratings_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n31,A,Drama\n")
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,31,many,100\n")
    with pytest.raises(DatasetError, match=r"not one line can be read; for example ratings\.csv:2: could not convert"):
        movielens.read(tmp_path)


def test_a_first_line_that_is_no_header_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text("31,A,Drama\n32,B,Drama\n")
    (tmp_path / "ratings.csv").write_text("1,31,4,100\n1,32,4,200\n")
    data = movielens.read(tmp_path)
    assert (len(data.interactions), len(data.items)) == (2, 2)
