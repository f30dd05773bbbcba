import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loaders import Dataset, DatasetError
from loaders.datasets import detect
from loaders.tables import timestamp
from schemas import record_limit

NOW_MS = 1_795_000_000_000
_PARQUET = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
import pyarrow
from pyarrow import parquet
from loaders.datasets import detect as source
moments = [datetime(2014, 4, 7, 8, 51, 9, tzinfo=UTC), datetime(2014, 4, 7, 8, 51, 8, tzinfo=UTC), None]
columns = {"user_id": [1.0, 2.0, 3.0], "item_id": [b"x", b"y", b"z"], "rating": [4, 5, 1], "timestamp": moments}
parquet.write_table(pyarrow.table(columns), sys.argv[1])
data = source.read(Path(sys.argv[1]))
events = [[e.user_id, e.item_id, e.action, e.value, e.occurred_at] for e in data.interactions]
print(json.dumps(events + [[line.file, line.line] for line in data.bad_lines]))
"""
Told = list[tuple[str, str | None, str, float | None, int]]


def told(data: Dataset) -> Told:
    return [(e.user_id, e.item_id, e.action, e.value, e.occurred_at) for e in data.interactions]


def bad(data: Dataset) -> list[tuple[str, int]]:
    return [(line.file, line.line) for line in data.bad_lines]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("u.data", "8\t1\t5\t200\n7\t1\t3\t100\n"),
        ("ratings.dat", "8::1::5::200\n7::1::3::100\n"),
        ("ratings.csv", "userId,movieId,rating,timestamp\n8,1,5,200\n7,1,3,100\n"),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_movielens_ratings_are_enough(tmp_path: Path, name: str, text: str, alone: bool) -> None:
    (tmp_path / name).write_text(text)
    data = detect.read(tmp_path / name if alone else tmp_path)
    assert told(data) == [("7", "1", "rate", 3.0, 100_000), ("8", "1", "rate", 5.0, 200_000)]
    assert (data.items, data.profiles, data.repeats) == ([], [], False)


def test_a_bad_first_line_does_not_hide_movielens(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("nonsense\n7\t1\t3\t100\n")
    data = detect.read(tmp_path)
    assert len(data.interactions) == 1
    assert bad(data) == [("u.data", 1)]


def test_check_in_arrays_are_sorted_by_time_and_carry_cells(tmp_path: Path) -> None:
    start, start_ms = 22_000_000, 22_000_000 * 60_000
    rows = np.array([[1, 7, start + 30], [2, 8, start + 10], [1, 7, start + 10], [3, 7, -1]], np.int32)
    np.save(tmp_path / "NYC.npy", rows)
    np.save(tmp_path / "NYC_POI.npy", np.array([[7.0, 40.7, -74.0], [8.0, 40.8, -73.9]]))
    data = detect.read(tmp_path)
    assert told(data) == [
        ("2", "8", "click", None, start_ms + 600_000),
        ("1", "7", "click", None, start_ms + 600_000),
        ("1", "7", "click", None, start_ms + 1_800_000),
    ]
    assert [(item.item_id, item.created_at, len(item.cell or "")) for item in data.items] == [
        ("7", start_ms + 600_000, 15),
        ("8", start_ms + 600_000, 15),
    ]
    assert data.repeats
    assert bad(data) == [("NYC.npy", 4)]
    for record in [*data.items, *data.interactions]:
        record_limit.check(record, now_ms=NOW_MS)


def test_an_array_of_another_shape_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", np.zeros((3, 2)))
    np.save(tmp_path / "X_POI.npy", np.zeros((3, 3)))
    with pytest.raises(DatasetError, match="three columns"):
        detect.read(tmp_path)


def test_gowalla_check_ins(tmp_path: Path) -> None:
    (tmp_path / "gowalla_users.csv").write_text("0\t1\n")
    (tmp_path / "gowalla_events.csv").write_text(
        "0\t2010-10-19 23:55:27+0000\t30.2\t-97.7\t22847\n"
        "1\t2010-10-18T22:17:43Z\t30.3\t-97.8\t420315\n"
        "1\tyesterday\t30.3\t-97.8\t420315\n"
        "1\t2010-10-18T22:17:43Z\t130.3\t-97.8\t420315\n"
        "1\t2010-10-18T22:17:43Z\n"
    )
    data = detect.read(tmp_path)
    assert told(data) == [
        ("1", "420315", "click", None, 1_287_440_263_000),
        ("0", "22847", "click", None, 1_287_532_527_000),
    ]
    assert bad(data) == [("gowalla_events.csv", 3), ("gowalla_events.csv", 4), ("gowalla_events.csv", 5)]
    assert {item.item_id for item in data.items} == {"22847", "420315"}


def test_click_sessions_are_one_stream_whose_users_are_sessions(tmp_path: Path) -> None:
    names = "SessionId\tItemId\tTime\n"
    (tmp_path / "clicks_train_full.txt").write_text(names + "3\t214\t1396437466.94\n3\t215\t1396438212.318\n")
    (tmp_path / "clicks_test.txt").write_text(names + "1\t214\t1396860669.277\n\n2\t\t1396860669\n2\t214\tnever\n")
    data = detect.read(tmp_path)
    assert told(data) == [
        ("3", "214", "click", None, 1_396_437_466_940),
        ("3", "215", "click", None, 1_396_438_212_318),
        ("1", "214", "click", None, 1_396_860_669_277),
    ]
    assert data.repeats
    assert sorted(bad(data)) == [("clicks_test.txt", 4), ("clicks_test.txt", 5)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "timestamp,item_id,user_id,rating\n1396860669,x,a,4.5\n"),
        ("t.tsv", "userId\tmovieId\trating\tts\na\tx\t4.5\t1396860669000\n"),
        ("t.csv", "User ID;Product ID;Stars;Date\na;x;4.5;2014-04-07T08:51:09Z\n"),
        ("t.inter", "user_id:token\titem_id:token\trating:float\ttimestamp:float\na\tx\t4.5\t1396860669.0\n"),
        ("t.csv", "\ufeffuser,item,rating,time\r\na,x,4.5,2014-04-07 08:51:09\r\n"),
        ("t.csv", "a,x,4.5,1396860669\n"),
        ("t.csv", "a,x,4.5,07.04.2014 08:51:09\n"),
        ("t.csv", "a,x,4.5,07/04/2014 08:51:09\nb,x,4.5,31/04/2014\n"),
        ("t.dat", "a::x::4.5::1396860669000000\n"),
        ("t.csv", "user;item;rating;time\na;x;4,5;2014-04-07 08:51:09 UTC\n"),
        ("t.csv", "sep=|\nuser|item|rating|time\na|x|4.5|2014-04-07T10:51:09+02:00\n"),
        ("t.tsv", '"user"\t"item"\t"rating"\t"time"\n"a"\t"x"\t4.5\t1396860669\n'),
        ("t.csv", 'user,item,rating,time\ra,x,4.5,"Mon, 07 Apr 2014 08:51:09 GMT"\r'),
    ],
)
def test_tables_go_by_the_names_or_the_order_of_their_columns(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    assert told(detect.read(tmp_path)) == [("a", "x", "rate", 4.5, 1_396_860_669_000)]


def test_a_table_without_ratings_is_of_clicks(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('user,item,timestamp\na,"x, y",100\nb,z,100\nb,x,50\n')
    data = detect.read(tmp_path / "t.csv")
    assert told(data) == [
        ("b", "x", "click", None, 50_000),
        ("a", "x, y", "click", None, 100_000),
        ("b", "z", "click", None, 100_000),
    ]
    assert data.repeats is None, "for whoever evaluates to find out"


@pytest.mark.parametrize(
    "line",
    [
        "a,x", ",x,4,100", "a,,4,100", "a,x,many,100", "a,x,inf,100", "a,x,4,soon", "a,x,4,-1", "NULL,x,4,100",
        "nan,x,4,100", "a,N/A,4,100", "a,None,4,100", "a,x,,100", "a,x,NaN,100", "a,x,4,null", "a,b,x,4,100",
        "a,x,1_0,100", 'a,"x,4,100', "a,x\udcff,4,100",
    ],
)  # fmt: skip
def test_a_bad_line_of_a_table_is_reported(tmp_path: Path, line: str) -> None:
    text = f"user,item,rating,timestamp\na,x,4,100\n{line}\na,y,4,100\na,é,4,100\nb,é,4,100\n"
    (tmp_path / "t.csv").write_text(text, "utf-8", "surrogateescape")
    data = detect.read(tmp_path)
    assert [event.item_id for event in data.interactions] == ["x", "y", "é", "é"]
    assert bad(data) == [("t.csv", 3)]


def test_tables_with_the_same_columns_are_read_as_one_and_others_refused(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("user,item,timestamp\na,x,300\n")
    (tmp_path / "train.csv").write_text("user,item,timestamp\na,y,100\n")
    (tmp_path / "about.csv").write_text("item,title\nx,A title\n")
    assert [event.item_id for event in detect.read(tmp_path).interactions] == ["y", "x"]
    (tmp_path / "more.csv").write_text("user,item,rating,timestamp\na,y,5,100\n")
    with pytest.raises(DatasetError, match=r"name one of more\.csv, test\.csv, train\.csv"):
        detect.read(tmp_path)


def test_parquet_is_a_table_too(tmp_path: Path) -> None:
    # In a process of its own: with all that the other tests load beside it, pyarrow 26 reads where nothing is.
    read = subprocess.run([sys.executable, "-c", _PARQUET, tmp_path / "t.parquet"], capture_output=True, check=True)
    assert json.loads(read.stdout) == [
        ["2", "y", "rate", 5.0, 1_396_860_668_000],
        ["1", "x", "rate", 4.0, 1_396_860_669_000],
        ["t.parquet", 3],
    ]


def test_reading_twice_gives_the_same(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("user,item,timestamp\na,x,300\na,x,300\n")
    data = detect.read(tmp_path)
    assert data == detect.read(tmp_path)
    assert len({event.event_id for event in data.interactions}) == 2


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, "MovieLens: u.data"),
        ({"products.csv": "name,price\nx,3\n"}, "a table: one .csv"),
        ({"t.csv": "user,item,timestamp\n"}, "not one line can be read; there is none; a line has a user, an item"),
        (
            {"t.csv": "user,item,timestamp\na,x,soon\nb,y,later\n"},
            r"for example t\.csv:2: 'soon' is not a time, in 'a x soon'; .* such as 2019-10-01 00:00:00 UTC",
        ),
        (
            {"t.csv": "user,item,timestamp\na,Чайник,100\n".encode("cp1251")},
            "neither UTF-8 nor Windows-1252; write it as UTF-8",
        ),
        ({"t.csv": "user,item,timestamp\na,x,100\n".encode("utf-16-le")}, "UTF-16 without a byte order mark"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_could_be(
    tmp_path: Path, files: dict[str, str | bytes], problem: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DatasetError, match=problem):
        detect.read(tmp_path)


def test_a_path_to_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nothing here"):
        detect.read(tmp_path / "missing")


def test_the_form_of_rees46_is_read(tmp_path: Path) -> None:
    (tmp_path / "2019-Oct.csv").write_text(
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
        "2019-10-01 00:00:00 UTC,view,11,21,home.kitchen,acme,35.79,1,72d7\n"
        "2019-10-01 00:00:01 UTC,purchase,12,21,,,33.20,2,9333\n"
        "2019-10-01 00:00:01 PST,view,12,21,,,33.20,2,9333\n"
    )
    data = detect.read(tmp_path)
    assert told(data) == [("1", "11", "click", None, 1_569_888_000_000), ("2", "12", "click", None, 1_569_888_001_000)]
    assert bad(data) == [("2019-Oct.csv", 4)]


def test_a_quote_in_a_table_of_tabs_swallows_nothing(tmp_path: Path) -> None:
    lines = [f"u{number}\tB{number}\t{1_700_000_000 + number}" for number in range(2_020)]
    lines[7] = 'u1\t"Awaken, My Love\t1700000007'
    (tmp_path / "t.tsv").write_text("\n".join(["user\titem\ttimestamp", *lines]))
    data = detect.read(tmp_path)
    assert (len(data.interactions), data.bad_lines) == (2_020, [])
    assert data.interactions[7].item_id == '"Awaken, My Love'


@pytest.mark.parametrize("length", [10, 140_000])
def test_an_unclosed_quote_in_a_table_is_named_and_swallows_nothing(tmp_path: Path, length: int) -> None:
    lines = [f"u{number},B{number},{1_700_000_000 + number}" for number in range(60)]
    lines[7] = f'u1,"{"x" * length},1700000007'
    (tmp_path / "t.csv").write_text("\n".join(["user,item,timestamp", *lines]))
    data = detect.read(tmp_path)
    assert (len(data.interactions), bad(data)) == (59, [("t.csv", 9)])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_of_tables_are_recognised_and_said(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.csv").write_bytes("user;item;timestamp\nRené;Crème;100\n".encode(encoding))
    data = detect.read(tmp_path)
    assert told(data) == [("René", "Crème", "click", None, 100_000)]
    assert data.notes == [f"{encoding}, separated by semicolons"]


def test_dates_whose_order_the_column_shows_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("user,item,date\na,x,01/02/2014 10:00\na,y,31/01/2014\n")
    assert [event.item_id for event in detect.read(tmp_path).interactions] == ["y", "x"]
    (tmp_path / "t.csv").write_text("user,item,date\na,x,01/02/2014\na,y,2014-01-01\n")
    assert bad(detect.read(tmp_path)) == [("t.csv", 2)]


def test_check_ins_without_a_user_or_place_make_none(tmp_path: Path) -> None:
    (tmp_path / "visits.csv").write_text(
        "1\t2010-10-18T22:17:43Z\t30.3\t-97.8\t420315\nNULL\t2010-10-18T22:17:43Z\t30.3\t-97.8\t420315\n"
        "1\t2010-10-18T22:17:43Z\t30.3\t-97.8\tNaN\n2\t2010-10-18 22:17:43 UTC\t30.3\t-97.8\t7\n"
    )
    data = detect.read(tmp_path)
    assert [event.user_id for event in data.interactions] == ["1", "2"]
    assert bad(data) == [("visits.csv", 2), ("visits.csv", 3)]


def test_one_odd_number_does_not_get_a_unit_of_its_own() -> None:
    assert timestamp.read(["1396860669", "13968606690", "1396860670.5"]) == [
        1_396_860_669_000,
        13_968_606_690_000,
        1_396_860_670_500,
    ]


FRAGMENTS = ('"', '""', ",", ";", "\t", "|", "\\", "\x00", "\u2028", "NULL", "x" * 200, "1.299", "'", " ")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.lists(st.sampled_from(FRAGMENTS), max_size=4), min_size=1, max_size=30),
    places=st.lists(st.integers(0, 25), min_size=4, max_size=4),
    separator=st.sampled_from((",", ";", "\t", "::")),
)
def test_each_line_of_a_table_is_an_event_or_named(
    tmp_path: Path, rows: list[list[str]], places: list[int], separator: str
) -> None:
    lines = [separator.join(("whole", "item", "4.5", "100"))]
    for number, fragments in enumerate(rows):
        line = separator.join((f"u{number}", f"item{number}", "4", str(200 + number)))
        for fragment, place in zip(fragments, places, strict=False):
            line = line[:place] + fragment + line[place:]
        lines.append(line)
    header = separator.join(("user", "item", "rating", "timestamp"))
    (tmp_path / "t.csv").write_text("\n".join([header, *lines]), "utf-8")
    data = detect.read(tmp_path)
    assert len(data.interactions) + len(data.bad_lines) == len(lines)
    assert len({line.line for line in data.bad_lines}) == len(data.bad_lines)
