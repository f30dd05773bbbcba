"""One builder per type: valid by default, every field open to be overridden."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

import h3
import numpy as np
from numpy.typing import NDArray

from infra.postgres.pool import LazyPool
from infra.postgres.shop_search import PostgresShopSearch
from infra.redis.stores.model_status import SERVING, Version
from models.blend.feature_matrix import FeatureMatrix
from schemas import types
from schemas.limit import PROFILE_FIELDS

_numbers = count(1)
T0_MS = 1_700_000_000_000
NEW_YORK, LISBON = "852a1073fffffff", "85393363fffffff"
"""H3 cells of resolution 5."""


def whole(parts: NDArray[np.float32]) -> FeatureMatrix:
    """Return (parts, items) that lie in one array."""
    return FeatureMatrix([(np.eye(len(parts), dtype=np.float32), parts)])


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


def a_product(item_id: str = "A000000001", title: str = "Ear Plugs", **overrides: Any) -> types.Item:
    """Return ear plugs at half their price."""
    fields: dict[str, Any] = {
        **{"category": "stores", "topics": ["Amazon Fashion"], "kind": "product", "url": None, "source": ""},
        **{"price": 250.0, "original_price": 500.0, "rating": 4.0, "reviews": 100},
    }
    return an_item(item_id, **({"title": title} | fields | overrides))


def a_profile(**overrides: Any) -> types.Profile:
    """Return the profile of user u1."""
    fields: dict[str, Any] = {"event_id": f"event-{next(_numbers)}", "user_id": "u1", "occurred_at": T0_MS}
    return types.Profile(**(fields | overrides))


def a_profile_update(**overrides: Any) -> types.ProfileUpdate:
    """Return a change of the profile of user u1 that states the fields it is given."""
    fields: dict[str, Any] = {
        "event_id": f"event-{next(_numbers)}",
        "user_id": "u1",
        "kind": "update",
        "fields": [name for name in PROFILE_FIELDS if name in overrides],
        "occurred_at": T0_MS,
    }
    return types.ProfileUpdate(**(fields | overrides))


@dataclass(frozen=True)
class Tombstone:
    """A null value as it is read from a topic."""

    timestamp: int
    headers: tuple[tuple[str, bytes | None], ...]


def a_tombstone(**overrides: Any) -> Tombstone:
    """Return a null value without headers."""
    fields: dict[str, Any] = {"timestamp": T0_MS, "headers": ()}
    return Tombstone(**(fields | overrides))


def a_ping(cell: str = "872a1072bffffff", **overrides: Any) -> types.Location:
    """Return a ping of user u1 in New York."""
    fields: dict[str, Any] = {"event_id": f"event-{next(_numbers)}", "user_id": "u1", "occurred_at": T0_MS}
    return types.Location(cell=cell, resolution=h3.get_resolution(cell), **(fields | overrides))


def a_trigger(**overrides: Any) -> types.Trigger:
    """Return user u1's call for a fresh feed."""
    fields: dict[str, Any] = {"event_id": f"event-{next(_numbers)}", "user_id": "u1", "kind": "refresh"}
    return types.Trigger(**(fields | {"occurred_at": T0_MS} | overrides))


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


def a_choice(**overrides: Any) -> types.Choice:
    """Return the choice of i2, by user u1, from four items that differ in two features."""
    fields: dict[str, Any] = {
        "user_id": "u1",
        "event_id": "e1",
        "item_id": "i2",
        "occurred_at": T0_MS,
        "opened_at": T0_MS,
        "generated_at": T0_MS,
        "rank": 1,
        "context": [0, 0, 0, 0],
        "features": ["near", "popular"],
        "values": np.array([[0.0, 1.0, 0.5, 0.0], [1.0, 0.5, 0.0, 0.0]], "<f2").tobytes(),
        "share": 1.0,
    }
    item_id = overrides.get("item_id", fields["item_id"])
    return types.Choice(**({"items": ["i0", item_id, "other", "last"]} | fields | overrides))


def a_version(**overrides: Any) -> Version:
    """Return version v1, in service."""
    fields: dict[str, Any] = {"version": "v1", "status": SERVING, "created_at": T0_MS, "events": 10}
    return Version(**(fields | overrides))


def llm_scores(scores: dict[str, float], **overrides: Any) -> types.LlmScores:
    """Return what a language model says of items for user u1, of the features that `a_feed` was ranked from."""
    fields: dict[str, Any] = {
        "user_id": "u1",
        "features_version": 5,
        "scores": scores,
        "model": "claude-haiku-4-5",
        "prompt_version": "1",
        "scored_at": T0_MS + 600,
    }
    return types.LlmScores(**(fields | overrides))


def a_fetch_request(**overrides: Any) -> types.FetchRequest:
    """Return a request for events in New York that user u1 would like."""
    fields: dict[str, Any] = {
        "event_id": f"request-{next(_numbers)}",
        "user_id": "u1",
        "category": "events",
        "trigger_id": "event-1",
        "reason": "Friday evening",
        "cell": NEW_YORK,
        "city": "New York",
        "about": '{"category":"events","where":"New York","interests":["jazz"]}',
        "words": ["jazz"],
        "occurred_at": T0_MS,
    }
    return types.FetchRequest(**(fields | overrides))


def a_content(**overrides: Any) -> types.Content:
    """Return what the model found for user u1: events i1 and i2."""
    fields: dict[str, Any] = {
        "request_id": "request-1",
        "user_id": "u1",
        "category": "events",
        "source": "llm",
        "items": [types.FoundItem(item_id="i1"), types.FoundItem(item_id="i2")],
        "requested_at": T0_MS,
        "occurred_at": T0_MS + 3_000,
    }
    return types.Content(**(fields | overrides))


def a_push_request(**overrides: Any) -> types.PushRequest:
    """Return the registration of user u1's phone."""
    fields: dict[str, Any] = {
        "event_id": f"event-{next(_numbers)}",
        "user_id": "u1",
        "kind": "register",
        "token": "phone",
        "platform": "android",
        "occurred_at": T0_MS,
    }
    return types.PushRequest(**(fields | overrides))


def a_notification(**overrides: Any) -> types.Notification:
    """Return a push to user u1 about item i1 that was sent."""
    fields: dict[str, Any] = {
        "notification_id": "n1",
        "user_id": "u1",
        "status": "sent",
        "reason": "1 device reached",
        "item_id": "i1",
        "category": "music",
        "title": "Title of i1",
        "body": "Trending now",
        "link": "/item/i1",
        "decided_at": T0_MS,
    }
    return types.Notification(**(fields | overrides))


def an_experiment(**overrides: Any) -> types.Experiment:
    """Return a comparison of two ways to rank."""
    fields: dict[str, Any] = {
        "experiment_id": "x1",
        "name": "Blend against popularity",
        "status": "draft",
        "arms": [types.Arm(name="blend", share=0.5), types.Arm(name="popular", share=0.5)],
        "occurred_at": T0_MS,
    }
    return types.Experiment(**(fields | overrides))


def a_shop_search(connections: LazyPool) -> PostgresShopSearch:
    """Return a search that reaches 50 km and hides products that are out of stock."""
    return PostgresShopSearch(connections, radius_km=50.0, hides_out_of_stock=True)
