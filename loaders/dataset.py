"""Data sets: a catalogue, user profiles and ordered interactions, the result of every reader."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from msgspec.structs import replace

from loaders.tables.cell import printable
from loaders.tables.encoding import EncodingError, OtherFormatError
from schemas import limit, record_limit, text
from schemas.types import Interaction, Item, Profile

R = TypeVar("R", Interaction, Item, Profile)

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62


@dataclass(slots=True)
class BadLine:
    """An unreadable line, with the reason."""

    file: str
    line: int
    problem: str
    """The reason, as one printable line."""

    def __post_init__(self) -> None:
        self.problem = printable(self.problem)

    def __str__(self) -> str:
        return f"{printable(self.file)}:{self.line}: {self.problem}"


class DatasetError(ValueError):
    """A path without a readable data set of a known format."""

    def __init__(self, folder: Path, problem: str) -> None:
        self.folder, self.problem = folder, problem
        super().__init__("\n".join(map(printable, f"{folder}: {problem}".split("\n"))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A catalogue, user profiles, and interactions by (time, order in the source).

    Repeated reads of a source yield the same data set, including event ids.
    """

    name: str
    items: list[Item]
    profiles: list[Profile]
    interactions: list[Interaction]
    labels: dict[str, str] = field(default_factory=dict)
    """Short descriptions of users, by user id, for lists of users."""
    repeats: bool | None = None
    """Whether users repeat items; None where the format does not determine it."""
    bad_lines: list[BadLine] = field(default_factory=list)
    """Skipped lines, which callers report."""
    notes: list[str] = field(default_factory=list)
    """Notes on the reading of the files, such as their encoding."""

    @property
    def user_ids(self) -> list[str]:
        """Return the ids of all users with a profile, then of those with an interaction only."""
        ids = dict.fromkeys(profile.user_id for profile in self.profiles)
        ids.update(dict.fromkeys(event.user_id for event in self.interactions))
        return list(ids)


@contextmanager
def require_readable(path: Path, *, remedy: str) -> Iterator[None]:
    """Convert errors of reading files into errors of their data set.

    Args:
        path: The data set.
        remedy: Advice for an unrecognised encoding.

    Raises:
        DatasetError: a file cannot be opened, or is no text of a known encoding.
    """
    try:
        yield
    except OtherFormatError as error:
        raise DatasetError(path, str(error)) from error
    except EncodingError as error:
        raise DatasetError(path, f"{error}; {remedy}") from error
    except OSError as error:
        raise DatasetError(path, str(error)) from error


def validate(record: R) -> R:
    """Return a record in canonical form, checked against the limits of its type.

    Two limits do not apply to data sets: history may begin in 1970, and ratings may be counts.

    Raises:
        ValueError: the record breaks a limit.
    """
    record = text.canonical(record)
    if isinstance(record, Item):
        record_limit.check(record, now_ms=limit.LAST_MS)
        return record
    if not 0 <= record.occurred_at <= limit.LAST_MS:
        raise ValueError("the time does not lie between the years 1970 and 9999")
    bounded_record = replace(record, occurred_at=limit.LAST_MS)
    as_click = replace(bounded_record, action="click") if isinstance(bounded_record, Interaction) else bounded_record
    record_limit.check(as_click, now_ms=limit.LAST_MS)
    return record


def no_line(bad_lines: Sequence[BadLine]) -> str:
    """Return the error message for a data set without interactions."""
    return f"not one line can be read; {f'for example {bad_lines[0]}' if bad_lines else 'there is none'}"


def event_id(occurred_at_ms: int, *source: object) -> str:
    """Return a UUIDv7 of the event's time and a hash of its source, such as file and line."""
    digest = hashlib.blake2b(repr(source).encode(), digest_size=16).digest()
    bits = int.from_bytes(digest) & ~(0xF << 76) & ~(0x3 << 62) & ((1 << 80) - 1)
    return str(UUID(int=(occurred_at_ms & (1 << 48) - 1) << 80 | bits | _VERSION_7 | _VARIANT))
