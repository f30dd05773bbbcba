"""One builder per record: valid by default, every field open to be overridden."""

from __future__ import annotations

from itertools import count
from typing import Any

from schemas import types

_numbers = count(1)
T0_MS = 1_700_000_000_000


def an_interaction(**overrides: Any) -> types.Interaction:
    """Return a click of user u1 on item i1."""
    number = next(_numbers)
    fields: dict[str, Any] = {
        "event_id": f"event-{number}",
        "user_id": "u1",
        "item_id": "i1",
        "action": "click",
        "occurred_at": T0_MS + number,
    }
    return types.Interaction(**(fields | overrides))


def an_item(item_id: str = "i1", **overrides: Any) -> types.Item:
    """Return a concert."""
    fields: dict[str, Any] = {
        "item_id": item_id,
        "category": "music",
        "title": f"Title of {item_id}",
        "topics": ["jazz"],
        "source": "city-guide",
        "created_at": T0_MS,
    }
    return types.Item(**(fields | overrides))


def a_profile(**overrides: Any) -> types.Profile:
    """Return the profile of user u1."""
    fields: dict[str, Any] = {"event_id": f"event-{next(_numbers)}", "user_id": "u1", "occurred_at": T0_MS}
    return types.Profile(**(fields | overrides))


def features(**overrides: Any) -> types.Features:
    """Return the features of a user of whom nothing is known."""
    fields: dict[str, Any] = {"user_id": "u1", "version": 1, "watermark": T0_MS, "event_count": 0}
    return types.Features(**(fields | overrides))


def stats(item_id: str = "i1", **overrides: Any) -> types.ItemStats:
    """Return the stats of an item that somebody acted on once."""
    fields: dict[str, Any] = {"item_id": item_id, "trending": 0.0, "popularity": 0.0, "watermark": T0_MS}
    return types.ItemStats(**(fields | overrides))


def a_feed(**overrides: Any) -> types.Feed:
    """Return a feed of three items for user u1."""
    fields: dict[str, Any] = {
        "user_id": "u1",
        "features_version": 5,
        "generated_at": T0_MS + 500,
        "watermark": T0_MS,
        "model": "blend-1",
        "items": ["i1", "i2", "i3"],
        "scores": [0.9, 0.5, 0.1],
        "sources": ["trending", "popular", "trending"],
        "reasons": ["Trending now", "Popular in music", "Trending now"],
        "parts": {"trending": [0.9, 0.0, 0.1], "popular": [0.0, 0.5, 0.0]},
    }
    return types.Feed(**(fields | overrides))
