"""Events to publish. An event gets its id and time when it is created; a repeated id counts once within a day."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import Any, ClassVar

import msgspec
import uuid_utils
from msgspec import field

from client.error import PartlyInvalidError

BATCH = 1_000
"""Maximum number of interactions per request."""


def _new_id() -> str:
    return str(uuid_utils.uuid7())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a user. `occurred_at` is in ms since the epoch."""

    path: ClassVar[str]
    user_id: str
    event_id: str = field(default_factory=_new_id)
    occurred_at: int = field(default_factory=_now_ms)


class Interaction(Event, frozen=True, kw_only=True):
    """An interaction: view, click, like, dislike, share, save, skip, rate (with the rating as `value`), search …"""

    path: ClassVar[str] = "/interaction"
    action: str
    item_id: str | None = None
    value: float | None = None
    query: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    context: dict[str, Any] = {}


class Location(Event, frozen=True, kw_only=True):
    """A user's location, in degrees; the API coarsens it to a cell before publishing."""

    path: ClassVar[str] = "/location"
    lat: float
    lon: float

    def __repr__(self) -> str:
        return f"Location(user_id={self.user_id!r}, lat=…, lon=…)"


class Profile(Event, frozen=True, kw_only=True):
    """A user's stated profile; it replaces the previous profile."""

    path: ClassVar[str] = "/profile"
    segment: str = ""
    categories: list[str] = []
    topics: list[str] = []
    muted: list[str] = []
    timezone: str | None = None
    locale: str | None = None
    city: str | None = None
    attributes: dict[str, Any] = {}


class Outcome:
    """The accumulated result of several publish requests, in order."""

    def __init__(self) -> None:
        self._count = 0
        self._problems: list[dict[str, Any]] = []

    def add(self, body: bytes) -> None:
        """Add the response to a request that succeeded, at least in part."""
        answer = _accepted.decode(body)
        self._problems += ({**one, "index": self._count + one["index"]} for one in answer.problems)
        self._count += answer.accepted + len(answer.problems)

    def check(self) -> None:
        """Raise an error if any event was invalid.

        Raises:
            PartlyInvalidError
        """
        if self._problems:
            raise PartlyInvalidError(self._problems, self._count)


class _Accepted(msgspec.Struct):
    accepted: int = 1
    problems: list[dict[str, Any]] = []


_accepted = msgspec.json.Decoder(_Accepted)


def bodies(events: Iterable[Event]) -> Iterator[tuple[str, bytes]]:
    """Yield the path and body of each request needed to publish events in order; runs of interactions form batches."""
    for is_batched, run in groupby(events, lambda event: isinstance(event, Interaction)):
        while some := list(islice(run, BATCH if is_batched else 1)):
            if len(some) == 1:
                yield some[0].path, msgspec.json.encode(some[0])
            else:
                yield f"{Interaction.path}/batch", msgspec.json.encode({"interactions": some})
