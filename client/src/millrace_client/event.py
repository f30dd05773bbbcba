"""Events to publish. An event gets its id and time when it is created; a repeated id counts once within a day."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import Any, ClassVar

import msgspec
from msgspec import field

from millrace_client.error import PartialFailureError, Problem

BATCH = 1_000
"""Maximum number of interactions per request."""


def _new_id() -> str:
    return str(uuid.uuid4())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a user. `occurred_at` is in ms since the epoch."""

    path: ClassVar[str]
    user_id: str
    event_id: str = field(default_factory=_new_id)
    occurred_at: int = field(default_factory=_now_ms)


class Interaction(Event, frozen=True, kw_only=True):
    """An interaction: view, click, like, dislike, share, save, skip, rate (with the rating as `value`), search …

    >>> like = Interaction(user_id="alex", item_id="i1", action="like")
    >>> like.event_id == Interaction(user_id="alex", item_id="i1", action="like").event_id
    False
    """

    path: ClassVar[str] = "/interaction"
    action: str
    item_id: str | None = None
    value: float | None = None
    query: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    context: dict[str, Any] = {}


class ShownItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item that was shown, its position in the list (from 0; by default its index), and its propensity (0 to 1)."""

    item_id: str
    position: int | None = None
    propensity: float | None = None


class Impression(Event, frozen=True, kw_only=True):
    """The items that a user was shown at once, and where, such as `home`."""

    path: ClassVar[str] = "/impression"
    items: list[ShownItem]
    request_id: str | None = None
    surface: str = ""


class Location(Event, frozen=True, kw_only=True):
    """A user's location, in degrees; the API coarsens it to a cell before publishing.

    >>> Location(user_id="alex", lat=38.7, lon=-9.1)
    Location(user_id='alex', lat=…, lon=…)
    """

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
    muted: list[str] = []  # wire
    timezone: str | None = None
    locale: str | None = None
    city: str | None = None
    attributes: dict[str, Any] = {}


class PublishResult:
    """The accumulated result of several publish requests, in order.

    >>> result = PublishResult()
    >>> result.add(b'{"event_id": "e1"}')
    >>> result.add(b'{"accepted": 1, "problems": [{"index": 1, "code": "invalid_value", "message": "is missing"}]}')
    >>> result.check()
    Traceback (most recent call last):
    millrace_client.error.PartialFailureError: partly_accepted: 1 of 3 events are invalid; the others are published
    """

    def __init__(self) -> None:
        self._count = 0
        self._problems: list[Problem] = []

    def add(self, body: bytes) -> None:
        """Add the response to a request that succeeded, at least in part."""
        answer = _accepted_decoder.decode(body)
        self._problems += (
            msgspec.structs.replace(problem, index=self._count + problem.index) for problem in answer.problems
        )
        self._count += answer.accepted + len(answer.problems)

    def check(self) -> None:
        """Raise an error if any event was invalid.

        Raises:
            PartialFailureError
        """
        if self._problems:
            raise PartialFailureError(self._problems, self._count)


def token_of(body: bytes) -> str:
    """Return the token in the response to a published interaction."""
    return _accepted_decoder.decode(body).token


class _Accepted(msgspec.Struct):
    accepted: int = 1  # wire
    problems: list[Problem] = []
    token: str = ""


_accepted_decoder = msgspec.json.Decoder(_Accepted)


def publish_requests(events: Iterable[Event]) -> Iterator[tuple[str, bytes]]:
    """Yield the path and body of each request needed to publish events in order; runs of interactions form batches.

    >>> clicks = [Interaction(user_id="ann", item_id=item, action="click") for item in ("i1", "i2")]
    >>> [path for path, _ in publish_requests([*clicks, Profile(user_id="ann"), clicks[0]])]
    ['/interaction/batch', '/profile', '/interaction']
    """
    for is_batched, run in groupby(events, lambda event: isinstance(event, Interaction)):
        while batch := list(islice(run, BATCH if is_batched else 1)):
            if len(batch) == 1:
                yield batch[0].path, msgspec.json.encode(batch[0])
            else:
                yield f"{Interaction.path}/batch", msgspec.json.encode({"interactions": batch})
