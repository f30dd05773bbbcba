"""What every data source yields: a catalogue, its people, and what they did in order."""

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
from schemas import limit, text
from schemas.types import Interaction, Item, Profile

R = TypeVar("R", Interaction, Item, Profile)

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that could not be read, and why."""

    file: str
    line: int
    problem: str
    """The reason, in one line that can be printed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "problem", printable(self.problem))

    def __str__(self) -> str:
        return f"{printable(self.file)}:{self.line}: {self.problem}"


class DatasetError(ValueError):
    """A folder that holds no data set of a known format."""

    def __init__(self, folder: Path, problem: str) -> None:
        self.folder, self.problem = folder, problem
        super().__init__("\n".join(map(printable, f"{folder}: {problem}".split("\n"))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A catalogue, people, and their interactions by (time, order in the source).

    Reading the same source again yields the same data set, event ids included.
    """

    name: str
    items: list[Item]
    profiles: list[Profile]
    interactions: list[Interaction]
    labels: dict[str, str] = field(default_factory=dict)
    """What to say of a user in a list of them, where there is something to say."""
    repeats: bool | None = None
    """Whether people come back to the same item, where the format says so."""
    bad_lines: list[BadLine] = field(default_factory=list)
    """Lines left out. They are never dropped unseen: whoever reads a data set reports them."""
    notes: list[str] = field(default_factory=list)
    """How its files were read."""

    @property
    def user_ids(self) -> list[str]:
        """Return everyone with a profile or an interaction, in that order."""
        ids = dict.fromkeys(profile.user_id for profile in self.profiles)
        ids.update(dict.fromkeys(event.user_id for event in self.interactions))
        return list(ids)


@contextmanager
def readable(path: Path, *, remedy: str) -> Iterator[None]:
    """Raise why files cannot be read as the error of their data set.

    Args:
        path: The data set.
        remedy: What to do about an encoding that is not recognised.

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
    """Return a record in its one form that is within the limits of its type.

    Only the age of events and the scale of ratings are the data's own: history may begin in 1970, and ratings may be
    counts.

    Raises:
        ValueError: it breaks a limit.
    """
    record = text.canonical(record)
    if isinstance(record, Item):
        limit.check(record, now_ms=limit.LAST_MS)
        return record
    if not 0 <= record.occurred_at <= limit.LAST_MS:
        raise ValueError("the time does not lie between the years 1970 and 9999")
    bounded = replace(record, occurred_at=limit.LAST_MS)
    limit.check(replace(bounded, action="click") if isinstance(bounded, Interaction) else bounded, now_ms=limit.LAST_MS)
    return record


def no_line(bad_lines: Sequence[BadLine]) -> str:
    """Return why a data set holds no interaction."""
    return f"not one line can be read; {f'for example {bad_lines[0]}' if bad_lines else 'there is none'}"


def event_id(occurred_at_ms: int, *source: object) -> str:
    """Return a UUIDv7 whose time is the event's and whose other bits are a hash of where it comes from."""
    digest = hashlib.blake2b(repr(source).encode(), digest_size=16).digest()
    bits = int.from_bytes(digest) & ~(0xF << 76) & ~(0x3 << 62) & ((1 << 80) - 1)
    return str(UUID(int=(occurred_at_ms & (1 << 48) - 1) << 80 | bits | _VERSION_7 | _VARIANT))
