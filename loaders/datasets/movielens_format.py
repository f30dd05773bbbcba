"""The three layouts of MovieLens: file names and parsers of lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from loaders.tables.cell import is_missing, quoted
from loaders.tables.delimited import Row, Text, first_row, unix_lines
from loaders.tables.encoding import decode, is_decoded

STARS_MAX = 5.0
_AGE_MAX = 150
_YEAR = re.compile(r"\((\d{4})\)\s*$")
_RELEASED = "%d-%b-%Y"
_HEADER = "userId,movieId,rating,timestamp"
_FIRST_NAMES = ("userId", "movieId")
_COLUMN = re.compile(r"\d{1,4}")
"""A number of a genre."""
_RATING_FIELDS = 4
_LOOKED_AT = 10
"""Number of lines for the detection of a layout: single lines may be bad."""
_SEXES = {"F": "f", "M": "m"}


@dataclass(frozen=True, slots=True)
class Rating:
    """A line of the ratings."""

    user_id: str
    item_id: str
    stars: float
    at_ms: int


@dataclass(frozen=True, slots=True)
class Movie:
    """A line of the movies."""

    item_id: str
    title: str
    genres: list[str]
    url: str | None = None
    released_ms: int | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A line of the users."""

    user_id: str
    age: int
    sex: str
    occupation: str


def _rating(row: list[str]) -> Rating:
    user_id, item_id, stars, seconds = _present(row[0]), _present(row[1]), float(row[2]), _whole("time", row[3])
    if not 0 <= stars <= STARS_MAX:
        raise ValueError(f"a rating of {row[2]} is not from 0 to {STARS_MAX:g}")
    if seconds < 0:
        raise ValueError(f"the time {row[3]} lies before 1970")
    return Rating(user_id, item_id, stars, seconds * 1000)


def _flagged_movie(folder: Path) -> Callable[[list[str]], Movie]:
    """Return the parser of u.item, with one column of 0 or 1 per genre, named by u.genre."""
    names: dict[int, str] = {}
    for line in (folder / "u.genre").read_text("latin-1").splitlines():
        name, _, column = line.partition("|")
        if _COLUMN.fullmatch(column.strip()):
            names[int(column)] = slug(name)

    def parse(row: list[str]) -> Movie:
        release_date, flags = row[2], row[5:]
        if len(flags) != len(names):
            raise ValueError(f"{len(flags)} genre flags, and u.genre names {len(names)}")
        genres = [names[column] for column, flag in enumerate(flags) if flag.strip() == "1"]
        moment = datetime.strptime(release_date, _RELEASED).replace(tzinfo=UTC) if release_date else None
        return Movie(
            item_id=_present(row[0]),
            title=_present(row[1]),
            genres=[genre for genre in genres if genre and genre != "unknown"],
            url=row[4] or None,
            released_ms=None if moment is None else int(moment.timestamp() * 1000),
        )

    return parse


def _listed_movie(_: Path) -> Callable[[list[str]], Movie]:
    """Return the parser of movies.dat and movies.csv, with all genres in one field, separated by bars."""

    def parse(row: list[str]) -> Movie:
        title, genres = _present(row[1]), row[2]
        year = _YEAR.search(title)
        return Movie(
            item_id=_present(row[0]),
            title=title,
            genres=[name for genre in genres.split("|") if not genre.startswith("(") and (name := slug(genre))],
            released_ms=None if year is None else int(datetime(int(year[1]), 1, 1, tzinfo=UTC).timestamp() * 1000),
        )

    return parse


def _user_100k(row: list[str]) -> User:
    return User(_present(row[0]), _age(row[1]), _SEXES[row[2]], row[3])


def _user_1m(row: list[str]) -> User:
    # Ages are band starts here: 1 18 25 35 45 50 56. Occupations are numbers of a list in the README.
    return User(_present(row[0]), _age(row[2]), _SEXES[row[1]], f"occupation {_whole('occupation', row[3])}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MovieLensFormat:
    """A layout of a MovieLens folder."""

    ratings: str
    movies: str
    movie: Callable[[Path], Callable[[list[str]], Movie]]
    ratings_separator: str
    separator: str
    users: str | None = None
    user: Callable[[list[str]], User] = _user_1m
    rating: Callable[[list[str]], Rating] = _rating
    other_files: tuple[str, ...] = ()
    encoding: str = "latin-1"
    header: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """Return the names of all files of this layout."""
        return tuple(name for name in (self.ratings, self.movies, self.users, *self.other_files) if name is not None)


FORMATS = (
    MovieLensFormat(
        ratings="u.data",
        movies="u.item",
        users="u.user",
        other_files=("u.genre",),
        ratings_separator="\t",
        separator="|",
        movie=_flagged_movie,
        user=_user_100k,
    ),
    MovieLensFormat(
        ratings="ratings.dat",
        movies="movies.dat",
        users="users.dat",
        ratings_separator="::",
        separator="::",
        movie=_listed_movie,
    ),
    MovieLensFormat(
        ratings="ratings.csv",
        movies="movies.csv",
        ratings_separator=",",
        separator=",",
        movie=_listed_movie,
        encoding="utf-8-sig",
        header=True,
    ),
)


def rows(file: Path, fmt: MovieLensFormat) -> Iterator[Row]:
    """Yield every non-blank row, without the header."""
    separator = fmt.ratings_separator if file.name == fmt.ratings else fmt.separator
    content, codec = decode(file.read_bytes(), fmt.encoding)
    is_quoted = separator == ","
    text = Text(content=unix_lines(content), encoding=codec, separator=separator, is_quoted=is_quoted)
    first = first_row(text).fields
    has_header = fmt.header and bool(first) and first[0].strip() in _FIRST_NAMES
    yield from islice(text.rows(len(first) if fmt.header else None), has_header, None)


def is_ratings(file: Path, fmt: MovieLensFormat) -> bool:
    """Return whether a file begins with ratings of this layout; other data sets use the same file names."""
    with file.open(encoding=fmt.encoding, errors="replace") as text:
        lines = [text.readline().strip() for _ in range(_LOOKED_AT)]
    if fmt.header:
        return lines[0] == _HEADER
    return any(len(line.split(fmt.ratings_separator)) == _RATING_FIELDS for line in lines)


def slug(genre: str) -> str:
    """Return a genre as an id: lower case, words joined by hyphens."""
    return "-".join(re.sub(r"[^\w\s-]", "", genre.lower()).split())


def _age(text: str) -> int:
    age = _whole("age", text)
    if not 0 <= age <= _AGE_MAX:
        raise ValueError(f"an age of {age} is not from 0 to {_AGE_MAX}")
    return age


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"the {name} {quoted(text)} is not a whole number") from None


def _present(text: str) -> str:
    if is_missing(text):
        raise ValueError("an id or title is missing")
    if not is_decoded(text):
        raise ValueError("an id or title holds bytes that the encoding of the file does not have")
    return text.strip()
