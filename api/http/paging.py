"""Paging through changing lists without repeated or skipped entries.

A page is cut from the current list, without the entries of earlier pages (`infra.redis.stores.page_store`). A page that
was shown before is repeated unchanged. Page 1 starts a new session. The pages of one list and owner belong to the
session of the last page 1, or to the session that the `cursor` names. A cursor also carries the time of page 1: a feed
has several orders by the time since the user's last event, and all pages of a session are cut from the one of page 1.

The scores of a list never rise from one entry to the next. A ranking puts some entries before others of a higher score,
for variety or exploration, and a later page comes from a newer ranking.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, structs
from starlette.requests import Request

from api.context import ApiContext
from api.security.principal import RequestContext
from api.security.rate_limit import network
from infra.redis.connection import StoreError
from infra.redis.stores.page_store import MAX_ENTRIES, PageEntry, PageSession

Cursor = Annotated[str, Meta(min_length=1, max_length=64, description="The cursor in the response to page 1.")]

_TIME_DIGITS = 15
"""Longest time in a cursor; a longer number is none of ours."""


class Page(NamedTuple):
    """One page, and the total number of entries as far as it is known."""

    entries: Sequence[PageEntry]
    total: int
    cursor: str | None
    """The cursor of the page's session; None for a page without a session."""


class PagedRanking(NamedTuple):
    """The current list, as far as it is needed, without the entries shown before; `total` includes those."""

    entries: Sequence[PageEntry]
    total: int


Rank = Callable[[Collection[str], int], Awaitable[PagedRanking]]
"""A function from the ids of the items shown before, and the time of page 1 in ms since the epoch, to the current list
without these items."""


class PagedList(NamedTuple):
    """The identity of a paged list: its owner, and a hash of its route and filters."""

    owner: str
    listing: str


def paged_list(request: Request, *filters: object, user_id: str | None = None) -> PagedList:
    """Return the list that a request is for, identified by route and filters.

    Args:
        request: The request.
        filters: The values that distinguish lists of the same route.
        user_id: The owner of the pages; by default the caller, or the client's address where callers need no token.
    """
    request_context: RequestContext = request.scope["trace"]
    if user_id is not None:
        owner = f"user:{user_id}"
    elif request_context.principal is not None:
        owner = f"caller:{request_context.principal.subject}"
    else:
        owner = f"address:{network(request.client.host if request.client else '')}"
    route_and_filters = msgspec.json.encode([request.scope["route"].path_format, *filters])
    return PagedList(owner, hashlib.sha256(route_and_filters).hexdigest()[:32])


async def page_of(
    context: ApiContext, page_list: PagedList, rank: Rank, *, start: int, end: int, cursor: str | None = None
) -> Page:
    """Return the entries of a list from `start` (0 is the first) up to, but excluding, `end`.

    Args:
        context: The app's clients.
        page_list: The list and the owner of its pages.
        rank: Returns the current list without the entries shown before.
        start: The first entry of the page.
        end: The end of the page.
        cursor: The session to continue; by default that of the owner's last page 1.

    Raises:
        StoreError: the earlier pages cannot be read.
    """
    store, session = context.clients.page_store, None
    if start or cursor is not None:
        sessions = [one for one in await store.read(page_list.owner) if one.listing == page_list.listing]
        session = next((one for one in sessions if cursor in (None, one.cursor)), None)
    previous = list(session.entries) if session is not None else []
    began_ms = _began_ms(cursor if session is None else session.cursor)
    began_ms = context.clients.now_ms() if began_ms is None else began_ms
    ranking = await rank({entry.item_id for entry in previous}, began_ms)
    highest = previous[-1].score if previous else math.inf
    entries = previous + falling(ranking.entries, highest=highest)[: max(0, end - len(previous))]
    stands_alone = session is None and ranking.total <= end
    if stands_alone or len(entries) > MAX_ENTRIES:
        return Page(entries[start:end], ranking.total, None)
    new_cursor = f"{secrets.token_urlsafe(12)}.{began_ms}"
    page_session = PageSession(page_list.listing, new_cursor if session is None else session.cursor, entries)
    if len(entries) > len(previous):
        with suppress(StoreError):
            await store.write(page_list.owner, page_session, instead_of=session)
    return Page(entries[start:end], ranking.total, page_session.cursor)


def falling(entries: Sequence[PageEntry], *, highest: float = math.inf) -> list[PageEntry]:
    """Return entries with scores that never rise and are nearest to theirs (isotonic regression by pooling violators).

    Args:
        entries: The entries, in their order.
        highest: Upper bound of the scores: that of the entry before.

    >>> [entry.score for entry in falling([PageEntry("a", 9.0), PageEntry("b", 2.0), PageEntry("c", 4.0)])]
    [9.0, 3.0, 3.0]
    """
    pools: list[tuple[float, int]] = []
    """The sum of the scores and the number of entries in each run of equal scores."""
    for entry in entries:
        total, count = entry.score, 1
        while pools and pools[-1][0] * count < total * pools[-1][1]:
            last_total, last_count = pools.pop()
            total, count = total + last_total, count + last_count
        pools.append((total, count))
    scores = [min(total / count if count > 1 else total, highest) for total, count in pools for _ in range(count)]
    return [structs.replace(entry, score=score) for entry, score in zip(entries, scores, strict=True)]


def _began_ms(cursor: str | None) -> int | None:
    """Return the time of page 1 that a cursor carries, in ms since the epoch; None if it carries none."""
    _, dot, digits = (cursor or "").rpartition(".")
    return int(digits) if dot and digits.isascii() and digits.isdecimal() and len(digits) <= _TIME_DIGITS else None
