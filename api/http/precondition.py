"""Conditional changes with optimistic concurrency (If-Match, RFC 9110, section 13.1.1).

A published change reaches the read model a moment later. The check therefore waits for a tag that does not match yet,
so that a client may save twice in quick succession.
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

_WAIT_S, _POLL_S = 2.0, 0.05


def entity_tag(state: Any) -> str:
    """Return the entity tag of a value: equal values have equal tags."""
    return f'"{blake2b(msgspec.json.encode(state), digest_size=8).hexdigest()}"'


async def matching_state(request: Request, read: Callable[[], Awaitable[T]]) -> T:
    """Return the current state if it matches the request's If-Match header, or if there is no such header.

    Args:
        request: The request.
        read: Reads the current state.

    Raises:
        ChangedError: the state does not match within the waiting time.
    """
    state, if_match = await read(), request.headers.get("if-match")
    if if_match is None or if_match.strip() == "*":
        return state
    # A compressing proxy may have weakened our tag; it still identifies the same state.
    tags = {tag.strip().removeprefix("W/") for tag in if_match.split(",")}
    deadline_s = asyncio.get_running_loop().time() + _WAIT_S
    while entity_tag(state) not in tags:
        if asyncio.get_running_loop().time() > deadline_s:
            raise ChangedError
        await asyncio.sleep(_POLL_S)
        state = await read()
    return state
