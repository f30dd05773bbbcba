"""The provenance of a shown item: that of the feed that held it, at the place where it was shown."""

from __future__ import annotations

from collections.abc import Sequence

from infra.postgres.shown_feeds import ShownFeeds, ShownList
from schemas.types import Feed, FeedItems
from streams.core.outcome.attribution import Provenance, ShownEntry
from streams.roles.outcomes.provenance_lookup import ProvenanceLookup, provenance
from tests.build import T0_MS, a_feed

FEED = a_feed(
    propensities=[1.0, 0.25, 0.5],
    policy="ucb",
    arms={"homepage": "b"},
    others=FeedItems(items=["i7"], scores=[0.1], sources=["new"], reasons=[""], parts={}),
)
CATEGORIES = {"i2": "music", "i9": "movies"}


def test_an_item_of_the_feed_has_its_source_and_the_propensity_of_its_place() -> None:
    assert provenance(FEED, "i2", 1, CATEGORIES) == Provenance(
        source="popular",
        category="music",
        model="blend-1",
        policy="ucb",
        propensity=0.25,
        arms={"homepage": "b"},
        features_version=5,
    )
    later = provenance(FEED, "i7", 2, CATEGORIES)
    assert (later.source, later.category, later.propensity) == ("new", "", 0.5)
    assert provenance(FEED, "i1", 40, CATEGORIES).propensity is None


def test_an_item_that_no_feed_held_has_a_category_alone() -> None:
    assert provenance(FEED, "i9", 0, CATEGORIES) == Provenance(category="movies")
    assert provenance(None, "i2", 0, CATEGORIES) == Provenance(category="music")


class Archive(ShownFeeds):
    """An archive with one feed, of u1."""

    def __init__(self) -> None:
        self.lists: list[ShownList] = []

    async def feeds(self, lists: Sequence[ShownList]) -> list[Feed | None]:
        self.lists += lists
        return [FEED if one.user_id == "u1" else None for one in lists]

    async def categories(self, item_ids: Sequence[str]) -> dict[str, str]:
        return CATEGORIES


def an_entry(user_id: str, item_id: str, place: int) -> ShownEntry:
    return ShownEntry(
        outcome_id=f"e:{place}", user_id=user_id, item_id=item_id, place=place, request_id=None, surface="",
        propensity=None, shown_at=T0_MS, append_ms=T0_MS, is_reported=True,
    )  # fmt: skip


async def test_items_that_were_shown_together_are_looked_up_once() -> None:
    archive = Archive()
    entries = [an_entry("u1", "i1", 0), an_entry("u2", "i2", 1), an_entry("u1", "i2", 1)]
    sources = [one.source for one in await ProvenanceLookup(archive).read(entries)]
    assert sources == ["trending", "", "popular"]
    assert archive.lists == [ShownList("u1", T0_MS, ("i1", "i2")), ShownList("u2", T0_MS, ("i2",))]
    assert await ProvenanceLookup(archive).read([]) == []
