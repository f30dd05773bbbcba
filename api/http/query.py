"""Query parameters. Unknown parameters are ignored."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import Request

from api.http.error import InvalidError, invalid
from schemas.limit import ID_CHARS, ZERO, id_problem

Q = TypeVar("Q")

MAX_LIMIT = 1_000

UserId = Annotated[str, Meta(min_length=1, max_length=ID_CHARS, description="The user's id.", examples=["alex"])]
Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="Maximum number of items.", examples=[5])]
Name = Annotated[str, Meta(min_length=1, max_length=ID_CHARS)]
"""A name to filter by."""


class LimitQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A limit on the number of results."""

    limit: Limit = MAX_LIMIT


class FeedQuery(LimitQuery, frozen=True, kw_only=True):
    """A user's feed, with a limit."""

    user_id: UserId

    def __post_init__(self) -> None:
        validate_user_id(self.user_id)


def parse_query(request: Request, kind: type[Q]) -> Q:
    """Parse and validate a request's query parameters. The guard has authorized the user that they name.

    Args:
        request: The request.
        kind: The struct that declares the parameters.

    Raises:
        InvalidError: a parameter is invalid; the error names it.
    """
    parameters = dict(request.query_params)
    for name, value in parameters.items():
        if ZERO in value:
            raise InvalidError(name, "must not hold a zero byte")
    try:
        return msgspec.convert(parameters, kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(error, kind) from error


def validate_user_id(user_id: str) -> str:
    """Validate and return a user id.

    Raises:
        InvalidError: it is not a valid id.
    """
    problem = id_problem(user_id)
    if problem is not None:
        raise InvalidError("user_id", problem)
    return user_id
