"""Endpoint declarations: parameters, responses and access rights in one place.

The route, the guard and the OpenAPI document are all derived from the declaration, so that they cannot differ.
Handlers are plain Starlette handlers: they read the query with `parse_query` and the body with `parse_body`, and reply
with `json_response`.
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
    """The path; its parameters are ids, as in `/results/{user_id}` (`api.http.path`)."""
    handler: Handler
    _: KW_ONLY
    answers: Mapping[int, Any]
    """Responses by status: a type that is encoded as JSON, a media type such as `text/event-stream`, or None."""
    scope: Scope = "user"
    """Access: everyone; users, for themselves; our own services, for any user; admins."""
    query: type[msgspec.Struct] | None = None
    path_parameters: type[msgspec.Struct] | None = None
    """The types of the path parameters, where they are not plain ids."""
    body: Any = None
    """The type of the JSON body, or another media type such as `text/csv`."""
    body_required: bool = True
    example: Any = None
    """A valid body; the examples of parameters are in their types (`Meta(examples=[…])`)."""
    errors: tuple[type[ApiError], ...] = ()
    """Specific errors, in addition to those of all endpoints of its kind (`api.security.guard`, `api.http.body`)."""
    summary: str = ""

    @property
    def description(self) -> str:
        """Return a one-sentence description: the summary, or the first line of the handler's docstring."""
        return self.summary or (getdoc(self.handler) or "").partition("\n")[0]

    @property
    def group(self) -> str:
        """Return the name of the handler's module, which groups endpoints in the documents."""
        return self.handler.__module__.rpartition(".")[2]
