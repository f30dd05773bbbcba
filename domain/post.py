"""Item ids of posts: they are collected from the Socialverse API and served by the video contract."""

from __future__ import annotations

POST_PREFIX = "post-"


def post_item_id(number: int) -> str:
    """Return the item id of a post.

    >>> post_item_id(1234)
    'post-1234'
    """
    return f"{POST_PREFIX}{number}"
