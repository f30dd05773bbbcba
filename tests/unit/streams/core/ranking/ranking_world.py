"""A catalog of four categories, a user of it, and the user's feed."""

from __future__ import annotations

import random
from dataclasses import replace

from schemas.types import Features, Feed, ItemNeighbors, RecentItem
from streams.core.params import RankParams
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import new_blender, rank
from tests.build import T0_MS, an_item, features, stats
from tests.params import RANK_PARAMS

PARAMS = replace(RANK_PARAMS, max_recommendations=20)
CATEGORIES = ("music", "movies", "places", "workshops")


def a_view(*, items: int = 60, seed: int = 0) -> CatalogSnapshot:
    """Return a view of items in four categories; i0 is the most popular, and i1, i2, i3 go with i0."""
    view = CatalogSnapshot()
    steps = [
        lambda n=n: view.apply_item(an_item(f"i{n}", category=CATEGORIES[n % 4], created_at=n)) for n in range(items)
    ]
    steps += [lambda n=n: view.apply_stats(stats(f"i{n}", popularity=-n / 10, trending=-n / 5)) for n in range(items)]
    links = {"i0": {"i21": 9.0, "i22": 8.0, "i23": 7.0}, "i21": {"i0": 9.0}, "i22": {"i0": 8.0}, "i23": {"i0": 7.0}}
    rows = [
        ItemNeighbors(
            item_id=item, neighbors=list(row), scores=list(row.values()), mass=9.0, reference=T0_MS, watermark=T0_MS
        )
        for item, row in links.items()
    ]
    steps += [lambda row=row: view.apply_neighbors(row) for row in rows]
    random.Random(seed).shuffle(steps)
    for step in steps:
        step()
    view.refresh()
    return view


def feed(person: Features, view: CatalogSnapshot | None = None, params: RankParams = PARAMS) -> Feed:
    return rank(person, view or a_view(), new_blender(), params, now_ms=T0_MS)


def a_fan_of(*items: str, **overrides: object) -> Features:
    recent = [RecentItem(item_id=item, weight=1.0, at=T0_MS) for item in items]
    return features(recent=recent, seen=list(items), event_count=10, **overrides)
