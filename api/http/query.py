"""The parameters that clients put into addresses. Those that are not named here are ignored."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import Request

from api.http.error import InvalidError, invalid
from api.security.principal import authorize_body
from schemas.limit import ID_CHARS, ZERO, id_problem

Q = TypeVar("Q")

MOST_ITEMS = 1_000

UserId = Annotated[str, Meta(min_length=1, max_length=ID_CHARS, description="Whose it is.", examples=["alex"])]
Limit = Annotated[int, Meta(ge=1, le=MOST_ITEMS, description="How many items at most.", examples=[5])]
Name = Annotated[str, Meta(min_length=1, max_length=ID_CHARS)]
"""The name of something that is looked for."""


class LimitQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How many are asked for."""

    limit: Limit = MOST_ITEMS


class FeedQuery(LimitQuery, frozen=True, kw_only=True):
    """Whose feed, and how much of it."""

    user_id: UserId

    def __post_init__(self) -> None:
        user_in(self.user_id)


def parse_query(request: Request, kind: type[Q]) -> Q:
    """Return a request's parameters.

    Raises:
        InvalidError: naming the one that cannot be used.
        ForbiddenError: they speak of another user than who asks.
    """
    parameters = dict(request.query_params)
    for name, value in parameters.items():
        if ZERO in value:
            raise InvalidError(name, "must not hold a zero byte")
    try:
        query = msgspec.convert(parameters, kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    authorize_body(query)
    return query


def user_in(user_id: str) -> str:
    """Return a user's id as it was asked for.

    Raises:
        InvalidError: it is none.
    """
    problem = id_problem(user_id)
    if problem is not None:
        raise InvalidError("user_id", problem)
    return user_id
