"""How an endpoint is declared: what it takes, what it answers and who may ask, in one place.

Its route, its guard, and what the documents say of it are all made of this, so that they cannot differ. Handlers are
plain Starlette handlers: they read the query with `parse_query`, the body with `take`, and reply with `json_response`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from inspect import getdoc
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.http.error import ApiError

Scope = Literal["public", "user", "service", "admin"]
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    """Its parameters are ids, as in `/results/{user_id}` (`api.http.path`)."""
    handler: Handler
    _: KW_ONLY
    answers: Mapping[int, Any]
    """What is answered by status: a type that becomes JSON, a media type such as `text/event-stream`, or None."""
    scope: Scope = "user"
    """Who may ask: anyone; a user, for themselves; a server of ours, for any user; an admin."""
    query: type[msgspec.Struct] | None = None
    path_parameters: type[msgspec.Struct] | None = None
    """Their types, where they are more than ids."""
    body: Any = None
    """The type of the JSON body, or another media type such as `text/csv`."""
    body_required: bool = True
    example: Any = None
    """A body that can be sent as it is; parameters have theirs in their types (`Meta(examples=[…])`)."""
    errors: tuple[type[ApiError], ...] = ()
    """Errors of its own, in addition to those of every endpoint of its kind (`api.security.guard`, `api.http.body`)."""
    summary: str = ""

    @property
    def what(self) -> str:
        """Return what it does in one sentence: the summary, or what its handler says of itself."""
        return self.summary or (getdoc(self.handler) or "").partition("\n")[0]

    @property
    def group(self) -> str:
        """Return what it belongs to: the name of its handler's module."""
        return self.handler.__module__.rpartition(".")[2]
