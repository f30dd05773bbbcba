"""Detection of the columns of interaction tables, by name, or by index without names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from loaders.tables import timestamp

_USER = ("user", "userid", "uid", "sessionid", "session", "visitorid", "customerid", "reviewerid", "memberid")
_ITEM = (
    "item", "itemid", "iid", "movieid", "productid", "parentasin", "asin", "trackid", "songid", "artistid", "bookid",
    "isbn", "businessid", "poi", "poiid", "venueid", "placeid", "locationid", "articleid", "newsid", "contentid",
    "movie", "product", "track", "song", "artist", "book", "place", "venue",
)  # fmt: skip
_RATING = ("rating", "stars", "score", "overall", "value")
_TIME = (
    "timestamp", "ts", "time", "timestampms", "unixtime", "unixreviewtime", "datetime", "date", "eventtime",
    "occurredat", "createdat", "minutes",
)  # fmt: skip
_NAMELESS = {3: (0, 1, None, 2), 4: (0, 1, 2, 3)}
"""Indices of user, item, rating and time by the number of columns, for tables without names."""


@dataclass(frozen=True, slots=True)
class InteractionColumns:
    """Indices of the columns of interactions."""

    user: int
    item: int
    rating: int | None
    time: int
    has_names: bool
    """Whether the first line holds names."""


def find(first: Sequence[str]) -> InteractionColumns | None:
    """Return the columns of a table by its first line, None where a needed one is missing."""
    names = [re.sub(r"[^a-z0-9]", "", name.lower().partition(":")[0]) for name in first]
    user, item, rating, time = (_first(names, spellings) for spellings in (_USER, _ITEM, _RATING, _TIME))
    if user is not None and item is not None and time is not None:
        return InteractionColumns(user, item, rating, time, has_names=True)
    return _nameless(first)


def _first(names: list[str], spellings: tuple[str, ...]) -> int | None:
    return next((names.index(name) for name in spellings if name in names), None)


def _nameless(first: Sequence[str]) -> InteractionColumns | None:
    if len(first) not in _NAMELESS:
        return None
    user, item, rating, time = _NAMELESS[len(first)]
    if time is None or user is None or item is None or not timestamp.is_time(first[time]):
        return None
    return InteractionColumns(user, item, rating, time, has_names=False)
