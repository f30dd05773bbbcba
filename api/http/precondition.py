"""Changes that hold only if nobody else has changed the same meanwhile (If-Match, RFC 9110, section 13.1.1).

What is read is stored a moment after it was published. So a tag that does not fit yet is waited for: a client may save
again right after it has saved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from api.http.error import ChangedError

T = TypeVar("T")

_WAIT_S, _LOOK_S = 2.0, 0.05


def tag_of(state: Any) -> str:
    """Return the entity tag of what is stored: equal values have equal tags."""
    return f'"{blake2b(msgspec.json.encode(state), digest_size=8).hexdigest()}"'


async def matching(request: Request, read: Callable[[], Awaitable[T]]) -> T:
    """Return what `read` returns, which must be what the request's If-Match names, if it has one.

    Raises:
        ChangedError: it is something else, and stays so.
    """
    state, if_match = await read(), request.headers.get("if-match")
    if if_match is None or if_match.strip() == "*":
        return state
    # A proxy that compresses may have made a weak tag of ours: what it stands for is the same.
    tags = {tag.strip().removeprefix("W/") for tag in if_match.split(",")}
    deadline_s = asyncio.get_running_loop().time() + _WAIT_S
    while tag_of(state) not in tags:
        if asyncio.get_running_loop().time() > deadline_s:
            raise ChangedError
        await asyncio.sleep(_LOOK_S)
        state = await read()
    return state
