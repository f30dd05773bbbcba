from pathlib import Path
from uuid import UUID

import pytest
from msgspec.structs import replace

from loaders import DatasetError
from loaders.datasets import movielens
from loaders.datasets.movielens_format import slug
from schemas import record_limit

NOW_MS = 1_795_000_000_000


def ml_100k(folder: Path, *, ratings: str = "") -> Path:
    (folder / "u.genre").write_text("unknown|0\nAction|1\nChildren's|2\nSci-Fi|3\n\n", "latin-1")
    (folder / "u.item").write_text(
        "1|Misérables, Les (1995)|01-Jan-1995||http://films.example/1|0|0|1|1\n"
        "2|Old One (1931)|01-Jan-1931|||0|1|0|0\n"
        "267|unknown||||1|0|0|0\n",
        "latin-1",
    )
    (folder / "u.user").write_text("7|24|M|writer|85711\n8|55|F|retired|94043\n", "latin-1")
    (folder / "u.data").write_text(ratings or "8\t1\t5\t200\n7\t1\t3\t100\n7\t267\t4\t100\n", "latin-1")
    return folder


def test_ml_100k_is_read_in_order_of_time_then_file(tmp_path: Path) -> None:
    data = movielens.read(ml_100k(tmp_path))
    assert [(e.user_id, e.item_id, e.action, e.value, e.occurred_at) for e in data.interactions] == [
        ("7", "1", "rate", 3.0, 100_000),
        ("7", "267", "rate", 4.0, 100_000),
        ("8", "1", "rate", 5.0, 200_000),
    ]
    assert not data.bad_lines


def test_ml_100k_items_carry_genres_and_the_time_they_appeared(tmp_path: Path) -> None:
    first, old, unknown = movielens.read(ml_100k(tmp_path)).items
    assert (first.title, first.category, first.topics) == (
        "Misérables, Les (1995)",
        "childrens",
        ["childrens", "sci-fi"],
    )
    assert first.created_at == 100_000, "its first rating"
    assert (old.created_at, old.category) == (0, "action"), "released before 1970 and never rated"
    assert (unknown.category, unknown.topics) == ("unknown", ["unknown"])
    assert (first.url, old.url) == ("http://films.example/1", None)


def test_ml_100k_users_become_segments(tmp_path: Path) -> None:
    data = movielens.read(ml_100k(tmp_path))
    assert [(p.user_id, p.segment, p.occurred_at) for p in data.profiles] == [
        ("7", "18-24|m", 100_000),
        ("8", "55+|f", 200_000),
    ]
    assert data.labels["8"] == "55+|f · retired"
    assert data.user_ids == ["7", "8"]


def test_ml_1m_fields_are_parted_by_double_colons(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::1193::5::978300760\n", "latin-1")
    (tmp_path / "movies.dat").write_text("1193::Cité: a Film (1975)::Drama|Film-Noir\n", "latin-1")
    (tmp_path / "users.dat").write_text("1::F::1::10::48067\n2::M::50::16::70072\n3::M::56::16::70072\n", "latin-1")
    data = movielens.read(tmp_path)
    assert data.items[0].title == "Cité: a Film (1975)"
    assert data.items[0].topics == ["drama", "film-noir"]
    assert [profile.segment for profile in data.profiles] == ["0-17|f", "45-54|m", "55+|m"]


def test_ml_latest_is_csv_with_quotes_and_no_users(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\r\n1,31,2.5,1260759144\r\n")
    (tmp_path / "movies.csv").write_text(
        'movieId,title,genres\r\n31,"American ""President"", The (1995)",Comedy|Drama\r\n'
        "32,Nothing,(no genres listed)\r\n"
    )
    data = movielens.read(tmp_path)
    assert data.items[0].title == 'American "President", The (1995)'
    assert data.items[1].category == "unknown"
    assert data.interactions[0].value == 2.5
    assert data.profiles == []


def test_reading_twice_gives_the_same_ids_and_all_are_valid(tmp_path: Path) -> None:
    once, again = movielens.read(ml_100k(tmp_path)), movielens.read(tmp_path)
    assert once == again
    ids = [event.event_id for event in [*once.interactions, *once.profiles]]
    assert len(set(ids)) == len(ids)
    assert {UUID(match).version for match in ids} == {7}


def test_every_movielens_record_is_within_its_limits(tmp_path: Path) -> None:
    data = movielens.read(ml_100k(tmp_path))
    events = [replace(event, occurred_at=NOW_MS - event.occurred_at) for event in (*data.profiles, *data.interactions)]
    for record in [*data.items, *events]:
        record_limit.check(record, now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("8\t1\t5", "3 fields are too few"),
        ("8\t1\tfive\t200", "could not convert"),
        ("8\t1\t9\t200", "a rating of 9 is not from 0 to 5"),
        ("8\t1\t5\t-3", "the time -3 lies before 1970"),
        ("\t1\t5\t200", "an id or title is missing"),
    ],
)
def test_a_bad_rating_is_reported_with_file_and_line(tmp_path: Path, line: str, problem: str) -> None:
    data = movielens.read(ml_100k(tmp_path, ratings=f"7\t1\t3\t100\n\n{line}\n7\t2\t3\t300\n"))
    assert [event.item_id for event in data.interactions] == ["1", "2"], "the lines around it are kept"
    (bad,) = data.bad_lines
    assert (bad.file, bad.line) == ("u.data", 3)
    assert problem in bad.problem
    assert str(bad).startswith("u.data:3: ")


def test_bad_movies_and_users_are_reported(tmp_path: Path) -> None:
    ml_100k(tmp_path)
    with (tmp_path / "u.item").open("a", encoding="latin-1") as file:
        file.write("3|Short of Flags (1990)|01-Jan-1990|||1|0\n4|When|someday|||1|0|0|0\n")
    with (tmp_path / "u.user").open("a", encoding="latin-1") as file:
        file.write("9|30|X|writer|1\n")
    data = movielens.read(tmp_path)
    assert [(bad.file, bad.line) for bad in data.bad_lines] == [("u.item", 4), ("u.item", 5), ("u.user", 3)]


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n")
    with pytest.raises(DatasetError, match=r"ratings\.csv, movies\.csv"):
        movielens.read(tmp_path)


def test_genres_become_ids() -> None:
    assert [slug(name) for name in ("Children's", "Film-Noir", "Sci-Fi", "IMAX 3D")] == [
        "childrens",
        "film-noir",
        "sci-fi",
        "imax-3d",
    ]
