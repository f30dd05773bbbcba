"""Differences between feeds of the same users, as an analyst reads them: overlap, and changes of rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from schemas.types import Feed

TOP = 10


class UserDifference(msgspec.Struct, frozen=True):
    """The difference between two feeds of a user."""

    user_id: str
    overlap: float
    """Share of the top ten of one feed that is in the top ten of the other."""
    rank_change: float
    """Mean absolute change of position of the items in both feeds; 0 if there are none."""
    is_equal: bool
    """Whether the items and their order are the same."""


class FeedDifference(msgspec.Struct, frozen=True):
    """Differences of many users' feeds, in total and by user, the greatest first."""

    users: int
    equal_feeds: int
    overlap: float
    """Mean over the users; 1 without any."""
    rank_change: float
    """Mean over the users."""
    by_user: list[UserDifference]


def feed_difference(before: Mapping[str, Feed], after: Mapping[str, Feed]) -> FeedDifference:
    """Return the differences of the users who are in both.

    Args:
        before: Feeds by user.
        after: The same, ranked otherwise.

    >>> def of(items: str) -> Feed:
    ...     return Feed(user_id="ann", features_version=1, generated_at=0, watermark=0, model="", items=list(items),
    ...                 scores=[], sources=[], reasons=[])
    >>> difference = feed_difference({"ann": of("abcd")}, {"ann": of("abdx")})
    >>> difference.overlap, round(difference.rank_change, 3), difference.equal_feeds
    (0.75, 0.333, 0)
    """
    rows = [_of_user(user_id, before[user_id].items, after[user_id].items) for user_id in before.keys() & after.keys()]
    rows.sort(key=lambda row: (row.overlap, -row.rank_change, row.user_id))
    return FeedDifference(
        users=len(rows),
        equal_feeds=sum(row.is_equal for row in rows),
        overlap=float(np.mean([row.overlap for row in rows])) if rows else 1.0,
        rank_change=float(np.mean([row.rank_change for row in rows])) if rows else 0.0,
        by_user=rows,
    )


def _of_user(user_id: str, before: Sequence[str], after: Sequence[str]) -> UserDifference:
    top, rank = set(before[:TOP]), {item: index for index, item in enumerate(after)}
    changes = [abs(rank[item] - index) for index, item in enumerate(before) if item in rank]
    return UserDifference(
        user_id=user_id,
        overlap=len(top.intersection(after[:TOP])) / max(len(top), len(after[:TOP]), 1),
        rank_change=float(np.mean(changes)) if changes else 0.0,
        is_equal=list(before) == list(after),
    )
