"""What can be published. An event gets its id and its time when it is made; sent again within a day, it counts once."""

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
"""Most interactions of one request."""


def _new_id() -> str:
    return str(uuid_utils.uuid7())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something of a user. `occurred_at` is in ms since the epoch."""

    path: ClassVar[str]
    user_id: str
    event_id: str = field(default_factory=_new_id)
    occurred_at: int = field(default_factory=_now_ms)


class Interaction(Event, frozen=True, kw_only=True):
    """What a user did: view, click, like, dislike, share, save, skip, rate (with the rating as `value`), search …"""

    path: ClassVar[str] = "/interaction"
    action: str
    item_id: str | None = None
    value: float | None = None
    query: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    context: dict[str, Any] = {}


class Location(Event, frozen=True, kw_only=True):
    """Where a user is; it is coarsened before it goes anywhere."""

    path: ClassVar[str] = "/location"
    lat: float
    lon: float

    def __repr__(self) -> str:
        return f"Location(user_id={self.user_id!r}, lat=…, lon=…)"


class Profile(Event, frozen=True, kw_only=True):
    """What a user says of themselves; it replaces the profile before it."""

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
    """What became of the events of some requests, in their order."""

    def __init__(self) -> None:
        self._count = 0
        self._problems: list[dict[str, Any]] = []

    def add(self, body: bytes) -> None:
        """Note the answer to a request that was taken, if only in part."""
        answer = _accepted.decode(body)
        self._problems += ({**one, "index": self._count + one["index"]} for one in answer.problems)
        self._count += answer.accepted + len(answer.problems)

    def check(self) -> None:
        """Raise the problems, if there are any.

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
    """Yield the path and the body of each request that publishes events, in their order, interactions in batches."""
    for is_batched, run in groupby(events, lambda event: isinstance(event, Interaction)):
        while some := list(islice(run, BATCH if is_batched else 1)):
            if len(some) == 1:
                yield some[0].path, msgspec.json.encode(some[0])
            else:
                yield f"{Interaction.path}/batch", msgspec.json.encode({"interactions": some})
