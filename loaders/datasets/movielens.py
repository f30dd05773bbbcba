"""Reader of the MovieLens folders of https://grouplens.org/datasets/movielens/.

    ml-100k       u.data  u.item (latin-1)  u.user  u.genre
    ml-1m         ratings.dat  movies.dat  users.dat            fields separated by ::
    ml-latest-*   ratings.csv  movies.csv                       no demographics

Ids are those of the data. An item enters the catalogue at its first rating, or at its release without one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from loaders.dataset import BadLine, Dataset, DatasetError, R, event_id, no_line, require_readable, validate
from loaders.datasets.movielens_format import FORMATS, Movie, MovieLensFormat, Rating, User, is_ratings, rows
from schemas.types import Interaction, Item, Profile

_AGE_BANDS = ((18, "0-17"), (25, "18-24"), (35, "25-34"), (45, "35-44"), (55, "45-54"))
_OLDEST = "55+"

T = TypeVar("T")


def matches(path: Path) -> bool:
    """Return whether a path is a folder with MovieLens ratings, or such a file; other files are optional."""
    return _ratings_of(path) is not None


def read(path: Path, *, ratings_suffice: bool = False) -> Dataset:
    """Read a MovieLens folder of any known format.

    Args:
        path: The folder, or its file of ratings.
        ratings_suffice: Whether the files of movies and users may be missing.

    Raises:
        DatasetError: the folder is no MovieLens folder, or no rating is readable.
    """
    fmt = (_ratings_of(path) if ratings_suffice else None) or _format_of(path)
    folder = path if path.is_dir() else path.parent
    bad_lines: list[BadLine] = []

    def records(name: str, parse: Callable[[list[str]], T], record: Callable[[int, T], R]) -> list[R]:
        good: dict[str, R] = {}
        with require_readable(folder / name, remedy="write it as UTF-8"):
            for row in rows(folder / name, fmt):
                try:
                    if row.problem:
                        raise ValueError(row.problem)
                    one = validate(record(row.line, parse(row.fields)))
                    if good.setdefault(one.item_id if isinstance(one, Item) else one.event_id, one) is not one:
                        raise ValueError("an earlier line has the same id")
                except (ValueError, IndexError, KeyError) as error:
                    bad_lines.append(BadLine(name, row.line, _problem(error, row.fields)))
        return list(good.values())

    ratings = records(fmt.ratings, fmt.rating, lambda line, rating: _interaction(folder.name, line, rating))
    if not ratings:
        raise DatasetError(path, no_line(bad_lines))
    ratings.sort(key=lambda event: event.occurred_at)
    item_ms: dict[str | None, int] = {}
    user_ms: dict[str, int] = {}
    for event in ratings:
        item_ms.setdefault(event.item_id, event.occurred_at)
        user_ms.setdefault(event.user_id, event.occurred_at)
    has_descriptions = all((folder / name).is_file() for name in (fmt.movies, *fmt.other_files))
    items: list[Item] = []
    if has_descriptions:
        items = records(fmt.movies, fmt.movie(folder), lambda _, movie: _item(movie, item_ms.get(movie.item_id)))
    profiles: list[Profile] = []
    if fmt.users is not None and (folder / fmt.users).is_file():
        profiles = records(
            fmt.users, fmt.user, lambda _, user: _profile(folder.name, user, user_ms.get(user.user_id, 0))
        )
    return Dataset(
        name=folder.name,
        items=items,
        profiles=profiles,
        interactions=ratings,
        labels={profile.user_id: f"{profile.segment} · {profile.attributes['occupation']}" for profile in profiles},
        repeats=False,
        bad_lines=bad_lines,
    )


def segment(user: User) -> str:
    """Return a user's demographic group, such as 25-34|f."""
    band = next((name for below, name in _AGE_BANDS if user.age < below), _OLDEST)
    return f"{band}|{user.sex}"


def _ratings_of(path: Path) -> MovieLensFormat | None:
    """Return the format of the ratings at a path; None without ratings."""
    for fmt in FORMATS:
        file = path / fmt.ratings if path.is_dir() else path
        if file.name == fmt.ratings and file.is_file() and is_ratings(file, fmt):
            return fmt
    return None


def _format_of(folder: Path) -> MovieLensFormat:
    for fmt in FORMATS:
        if all((folder / name).is_file() for name in fmt.files):
            return fmt
    layouts = "; or ".join(", ".join(fmt.files) for fmt in FORMATS)
    raise DatasetError(folder, f"not a MovieLens folder: it should hold {layouts}")


def _problem(error: Exception, row: list[str]) -> str:
    if isinstance(error, IndexError):
        return f"{len(row)} fields are too few"
    if isinstance(error, KeyError):
        return f"unknown value {error}"
    return str(error)


def _interaction(name: str, line: int, rating: Rating) -> Interaction:
    return Interaction(
        event_id=event_id(rating.at_ms, name, "rating", line),
        user_id=rating.user_id,
        item_id=rating.item_id,
        action="rate",
        occurred_at=rating.at_ms,
        value=rating.stars,
    )


def _item(movie: Movie, first_ms: int | None) -> Item:
    genres = movie.genres or ["unknown"]
    return Item(
        item_id=movie.item_id,
        category=genres[0],
        title=movie.title,
        topics=genres,
        source="movielens",
        url=movie.url,
        created_at=max(0, movie.released_ms or 0) if first_ms is None else first_ms,
    )


def _profile(name: str, user: User, at_ms: int) -> Profile:
    return Profile(
        event_id=event_id(at_ms, name, "profile", user.user_id),
        user_id=user.user_id,
        segment=segment(user),
        attributes={"occupation": user.occupation},
        occurred_at=at_ms,
    )
