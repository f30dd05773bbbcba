"""What every data source yields: a catalogue, its people, and what they did in order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from schemas.types import Interaction, Item, Profile

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that could not be read, and why."""

    file: str
    line: int
    problem: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.problem}"


class DatasetError(ValueError):
    """A folder that holds no data set of a known format."""

    def __init__(self, folder: Path, problem: str) -> None:
        self.folder, self.problem = folder, problem
        super().__init__(f"{folder}: {problem}")


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
        seen = dict.fromkeys(profile.user_id for profile in self.profiles)
        seen.update(dict.fromkeys(event.user_id for event in self.interactions))
        return list(seen)


def event_id(occurred_at_ms: int, *source: object) -> str:
    """Return a UUIDv7 whose time is the event's and whose other bits are a hash of where it comes from."""
    digest = hashlib.blake2b(repr(source).encode(), digest_size=16).digest()
    bits = int.from_bytes(digest) & ~(0xF << 76) & ~(0x3 << 62) & ((1 << 80) - 1)
    return str(UUID(int=(occurred_at_ms & (1 << 48) - 1) << 80 | bits | _VERSION_7 | _VARIANT))
