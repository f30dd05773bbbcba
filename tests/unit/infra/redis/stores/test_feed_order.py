"""Which order of a feed is shown: the last one whose time has passed, with each item's own score and reason."""

from __future__ import annotations

import math

import pytest

from infra.redis.stores.feed_codec import pack, unpack
from infra.redis.stores.feed_store import feed_at
from schemas.types import Feed, FeedItems, FeedOrder
from tests.build import T0_MS, a_feed


def with_orders(**overrides: object) -> Feed:
    """Return a feed of three items, two more orders, and an item that only the last one holds."""
    others = FeedItems(
        items=["i4"],
        scores=[0.25],
        sources=["fresh"],
        reasons=["New in music"],
        parts={"trending": [0.0], "popular": [0.25]},
    )
    orders = [FeedOrder(from_ms=60_000, indices=[2, 0, 1]), FeedOrder(from_ms=3_600_000, indices=[3, 1, 0])]
    return a_feed(**{"others": others, "orders": orders, **overrides})


@pytest.mark.parametrize(
    ("away_ms", "items"),
    [
        (-5_000, ["i1", "i2", "i3"]),
        (0, ["i1", "i2", "i3"]),
        (59_999, ["i1", "i2", "i3"]),
        (60_000, ["i3", "i1", "i2"]),
        (3_599_999, ["i3", "i1", "i2"]),
        (3_600_000, ["i4", "i2", "i1"]),
        (10**12, ["i4", "i2", "i1"]),
    ],
)
def test_the_last_order_whose_time_has_passed_is_shown(away_ms: int, items: list[str]) -> None:
    assert feed_at(with_orders(), T0_MS + away_ms).items == items


def test_each_item_keeps_its_score_reason_and_parts() -> None:
    feed = feed_at(with_orders(ml_scores=[], llm_scores={"i4": 0.5}), T0_MS + 3_600_000)
    assert (feed.scores, feed.sources) == ([0.25, 0.5, 0.9], ["fresh", "popular", "trending"])
    assert feed.reasons == ["New in music", "Popular in music", "Trending now"]
    assert feed.parts == {"trending": [0.0, 0.0, 0.9], "popular": [0.25, 0.5, 0.0]}
    assert (feed.watermark, feed.features_version, feed.generated_at) == (T0_MS, 5, T0_MS + 500)


def test_a_feed_of_one_order_is_shown_as_it_is() -> None:
    feed = a_feed()
    assert feed_at(feed, T0_MS + 10**12) is feed


@pytest.mark.parametrize("count", [3, 300])
def test_orders_come_back_from_their_encoding(count: int) -> None:
    names = [f"i{number}" for number in range(count)]
    feed = with_orders(
        items=names,
        scores=[0.5] * count,
        sources=["popular"] * count,
        reasons=[f"Reason {number}" for number in range(count)],
        parts={"trending": [0.5] * count, "popular": [0.0] * count},
        llm_scores={"i1": 0.25, "i4x": 0.5},
        ml_scores=[0.5] * count,
        others=FeedItems(
            items=["i4x"],
            scores=[0.25],
            sources=["fresh"],
            reasons=["New in music"],
            parts={"trending": [0.0], "popular": [0.25]},
            ml_scores=[0.75],
        ),
        orders=[FeedOrder(from_ms=60_000, indices=[count, *range(count - 2, -1, -1)])],
    )
    assert unpack("u1", pack(feed)) == feed


def test_an_order_without_items_of_its_own_comes_back() -> None:
    feed = with_orders(others=None, parts={}, orders=[FeedOrder(from_ms=60_000, indices=[2, 1, 0])])
    assert unpack("u1", pack(feed)) == feed
    assert feed_at(feed, T0_MS + 60_000).items == ["i3", "i2", "i1"]


def test_a_feed_with_all_later_orders_takes_4_kb() -> None:
    count, most = 110, 50
    groups = ("trending", "popular", "neighbors", "affinity", "fresh")
    columns = {
        "items": [f"video{10_000 + 977 * place % 90_000}" for place in range(count)],
        "scores": [1 / (1.1 + place) for place in range(count)],
        "sources": [groups[place % 4] for place in range(count)],
        "reasons": [f"Because you liked title number {place % 20}" for place in range(count)],
    }
    parts = {name: [math.sin(place * number + 1) ** 2 for place in range(count)] for number, name in enumerate(groups)}
    feed = a_feed(
        **{name: values[:most] for name, values in columns.items()},
        parts={name: values[:most] for name, values in parts.items()},
        others=FeedItems(
            **{name: values[most:] for name, values in columns.items()},  # type: ignore[arg-type]
            parts={name: values[most:] for name, values in parts.items()},
        ),
        orders=[FeedOrder(from_ms=ms, indices=[(place * 7 + ms) % count for place in range(most)]) for ms in range(3)],
    )
    assert len(pack(feed)) <= 4_096


def test_places_have_the_same_propensities_in_all_orders() -> None:
    feed = unpack("u1", pack(with_orders(propensities=[1.0, 0.9, 0.3], parts={}, others=None, orders=[])))
    assert feed.propensities == [1.0, 0.9, 0.3]
    feed = with_orders(propensities=[1.0, 0.9, 0.3])
    assert feed_at(feed, T0_MS + 60_000).propensities == [1.0, 0.9, 0.3]
    assert feed_at(with_orders(propensities=[1.0, 0.9]), T0_MS + 60_000).propensities == [1.0, 0.9, 1.0]
    assert feed_at(with_orders(), T0_MS + 60_000).propensities == []
