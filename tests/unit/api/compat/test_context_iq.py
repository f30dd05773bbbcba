"""Context IQ's endpoints: bodies and answers as its document has them."""

import csv
import io
from importlib.metadata import version
from typing import Any

import httpx
import pytest

from infra.postgres.catalog_filter import MemoryCatalogListing
from infra.postgres.feed_history import MemoryFeedHistory
from infra.redis.connection import StoreError
from infra.redis.stores.interaction_log import MemoryInteractionLog
from infra.redis.stores.user_profile_store import MemoryUserProfileStore, UserProfile
from schemas.types import Feed
from tests.build import T0_MS, a_feed, a_profile, an_interaction, an_item, features
from tests.unit.api.builder import NOW_MS, World
from topics.topic import INTERACTIONS, PROFILE_UPDATES

ITEMS = [
    an_item("i1", title="Intro to Machine Learning", category="technology", topics=["ai", "learning"]),
    an_item("i2", title="=HYPERLINK(1)", category="business", topics=["ai"], created_at=T0_MS + 1),
    an_item("i3", category="technology", topics=["garden"], created_at=T0_MS + 2),
]
EVENTS = [an_interaction(event_id=f"e{n}", item_id=item) for n, item in enumerate(("i1", "i3", "i2"))]


async def answering() -> None:
    return


async def refusing() -> None:
    raise ConnectionError


async def a_world(**feed: Any) -> World:
    """Return a world in which u1 has a feed and has done something."""
    portraits = MemoryUserProfileStore()
    await portraits.write_inferred([features(counts={"view": 2, "like": 1}, event_count=3)])
    await portraits.write_stated([a_profile(categories=["music"], segment="students", city="Lisbon")])
    world = World(clients={"user_profiles": portraits, "catalog_listing": MemoryCatalogListing(ITEMS, EVENTS)})
    await world.items.write(ITEMS)
    await world.feeds.write([a_feed(**feed)])
    return world


async def got(path: str, world: World | None = None, **params: Any) -> httpx.Response:
    async with (world or await a_world()).http() as http:
        return await http.get(path, params=params)


async def test_health_names_the_services() -> None:
    probes = {"kafka": answering, "registry": answering, "redis": answering, "database": refusing}
    result = await got("/api/v1/health", World(health_checks=probes))
    assert result.status_code == 200
    assert result.json() == {
        "status": "degraded",
        "version": version("millrace"),
        "services": {"database": False, "redis": True, "kafka": True, "bedrock": False},
    }
    well = await got("/api/v1/health", World(health_checks=probes | {"database": answering}))
    down = await got("/api/v1/health", World(health_checks=probes | {"redis": refusing}))
    assert well.json()["status"] == "healthy"
    assert (down.status_code, down.json()["status"]) == (503, "unhealthy")


async def test_bedrock_is_there_where_it_has_credentials() -> None:
    keys = {"llm_provider": "bedrock", "aws_access_key_id": "id", "aws_secret_access_key": "secret"}
    async with World().http(**keys) as http:
        assert (await http.get("/api/v1/health")).json()["services"]["bedrock"] is True
    async with World().http(llm_provider="anthropic", anthropic_api_key="key") as http:
        assert (await http.get("/api/v1/health")).json()["services"]["bedrock"] is False


async def test_an_interaction_is_published_and_answered_as_documented() -> None:
    world = World()
    fields = {
        "user_id": "user123",
        "content_id": "article_abc",
        "interaction_type": "view",
        "duration_seconds": 120,
        "metadata": {"source": "homepage", "device": "mobile", "nothing": None},
    }
    async with world.http() as http:
        answer = await http.post("/api/v1/interact", json=fields)
    [event] = world.publisher.values_of(INTERACTIONS)
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "success",
        "message": "Interaction recorded and queued for processing",
        "event_id": event.event_id,
    }
    assert (event.user_id, event.item_id, event.action) == ("user123", "article_abc", "view")
    assert event.value == pytest.approx(120 / 194), "the share that is watched in two minutes"
    assert event.context == {"source": "homepage", "device": "mobile", "duration_seconds": "120.0"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"interaction_type": "dislike"}, "interaction_type"),
        ({"duration_seconds": -1}, "duration_seconds"),
        ({"user_id": ""}, "user_id"),
        ({"content_id": ""}, "item_id"),
    ],
)
async def test_interactions_of_another_kind_are_refused(body: dict[str, Any], field: str) -> None:
    world = World()
    fields = {"user_id": "u", "content_id": "c", "interaction_type": "view"} | body
    async with world.http() as http:
        answer = await http.post("/api/v1/interact", json=fields)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert not world.publisher.records_by_topic


async def test_recommendations_have_the_documented_keys_and_ml_scores_from_nought_to_one() -> None:
    body = (await got("/api/v1/recommendations", user_id="u1", limit=2)).json()
    assert body == {
        "user_id": "u1",
        "recommendations": [
            {
                "content_id": "i1",
                "title": "Intro to Machine Learning",
                "category": "technology",
                "ml_score": 1.0,
                "llm_score": None,
                "combined_score": 1.0,
            },
            {
                "content_id": "i2",
                "title": "=HYPERLINK(1)",
                "category": "business",
                "ml_score": 0.5,
                "llm_score": None,
                "combined_score": 0.5,
            },
        ],
        "cached": True,
        "timestamp": "2023-11-14T22:13:20.500Z",
    }


async def test_what_a_language_model_said_is_in_the_combined_score() -> None:
    scores = {"scores": [0.88, 0.4, 0.1], "ml_scores": [0.87, 0.4, 0.1], "llm_scores": {"i1": 0.92}}
    first, second, _ = (await got("/api/v1/recommendations", await a_world(**scores), user_id="u1")).json()[
        "recommendations"
    ]
    assert (first["ml_score"], first["llm_score"], first["combined_score"]) == (0.87, 0.92, 0.88)
    assert (second["ml_score"], second["llm_score"], second["combined_score"]) == (0.4, None, 0.4)


async def test_ten_are_recommended_by_default_and_everyones_are_not_cached() -> None:
    items = [f"i{n}" for n in range(20)]
    columns: dict[str, Any] = {"items": items, "sources": ["trending"] * 20, "reasons": ["x"] * 20, "parts": {}}
    world = await a_world(user_id="~everyone", scores=[0.5] * 20, **columns)
    await world.items.write([an_item(item) for item in items])
    body = (await got("/api/v1/recommendations", world, user_id="nobody")).json()
    assert (len(body["recommendations"]), body["cached"], body["recommendations"][0]["ml_score"]) == (10, False, 0.5)


async def test_an_interaction_makes_what_was_made_before_it_uncached_until_it_is_reflected() -> None:
    world = await a_world()

    async def cached(http: httpx.AsyncClient, user_id: str) -> tuple[bool, bool]:
        recommendations = (await http.get("/api/v1/recommendations", params={"user_id": user_id})).json()
        return recommendations["cached"], (await http.get(f"/api/v1/user-profile/{user_id}")).json()["cached"]

    like = {"user_id": "u1", "content_id": "i1", "interaction_type": "like"}
    portraits: MemoryUserProfileStore = world.clients["user_profiles"]
    await portraits.write_inferred([features(user_id="u2", event_count=1)])
    await world.feeds.write([a_feed(user_id="u2")])
    async with world.http() as http:
        before = await cached(http, "u1")
        await http.post("/api/v1/interact", json=like)
        after, of_another_user = await cached(http, "u1"), await cached(http, "u2")
        await portraits.write_inferred([features(counts={"like": 2}, event_count=4, interactions_offset=0)])
        profile_alone = await cached(http, "u1")
        await world.feeds.write([a_feed(features_version=9, interactions_offset=0)])
        both = await cached(http, "u1")
        await http.post("/api/v1/interact", json=like)
        again = await cached(http, "u1")
    assert (before, after, of_another_user) == ((True, True), (False, False), (True, True))
    assert (profile_alone, both, again) == ((False, True), (True, True), (False, False))


async def test_an_interaction_is_accepted_and_recommendations_read_while_redis_is_away() -> None:
    class Away(MemoryInteractionLog):
        """A log that does not answer."""

        async def write_offset(self, user_id: str, offset: int) -> None:
            raise StoreError("writing", ConnectionError())

        async def read_offset(self, user_id: str) -> int:
            raise StoreError("reading", ConnectionError())

    world = await a_world()
    world.interactions = Away()
    async with world.http() as http:
        answer = await http.post(
            "/api/v1/interact", json={"user_id": "u1", "content_id": "i1", "interaction_type": "like"}
        )
        recommendations = await http.get("/api/v1/recommendations", params={"user_id": "u1"})
    assert (answer.status_code, len(world.publisher.values_of(INTERACTIONS))) == (200, 1)
    assert recommendations.json()["cached"] is True


async def test_recommendations_that_are_not_in_the_store_come_from_the_archive_and_are_not_cached() -> None:
    history = MemoryFeedHistory()
    history.feeds = [a_feed(user_id="ann", items=["i3", "i1"], scores=[2.0, 1.0], **_columns(2))]
    world = await a_world()
    await world.feeds.write([a_feed(user_id="~everyone")])
    world.clients["feed_history"] = history
    body = (await got("/api/v1/recommendations", world, user_id="ann")).json()
    assert ([one["content_id"] for one in body["recommendations"]], body["cached"]) == (["i3", "i1"], False)


async def test_everyones_are_recommended_while_the_archive_is_away() -> None:
    class Away(MemoryFeedHistory):
        """An archive that does not answer."""

        async def read(self, user_id: str, at_ms: int) -> Feed | None:
            raise StoreError("reading", ConnectionError())

    world = await a_world(user_id="~everyone")
    world.clients["feed_history"] = Away()
    body = (await got("/api/v1/recommendations", world, user_id="ann")).json()
    assert (len(body["recommendations"]), body["cached"]) == (3, False)


def _columns(count: int) -> dict[str, Any]:
    return {"sources": ["popular"] * count, "reasons": ["x"] * count, "parts": {}}


async def test_the_first_items_of_a_feed_are_sorted_by_score_and_those_out_of_stock_last() -> None:
    items = [f"i{n}" for n in range(5)]
    columns = {"items": items, "scores": [1.0, 3.0, 2.0, 9.0, 4.0], "trailing": 1, **_columns(5)}
    world = await a_world(**columns)
    await world.items.write([an_item(item) for item in items])

    async def listed(limit: int) -> list[str]:
        body = (await got("/api/v1/recommendations", world, user_id="u1", limit=limit)).json()
        return [one["content_id"] for one in body["recommendations"]]

    async def rank(item: str, limit: int) -> int:
        params = {"user_id": "u1", "content_id": item, "limit": limit}
        return int((await got("/api/v1/recommendations/explain", world, **params)).json()["rank"])

    assert await listed(3) == ["i1", "i2", "i0"]
    assert await listed(5) == ["i3", "i1", "i2", "i0", "i4"]
    assert [await rank(item, 3) for item in ("i1", "i2", "i0", "i3", "i4")] == [1, 2, 3, 4, 5]
    assert [await rank(item, 5) for item in ("i3", "i0", "i4")] == [1, 4, 5]


@pytest.mark.parametrize("params", [{}, {"user_id": "u1", "limit": 0}, {"user_id": "u1", "limit": 1_001}])
async def test_bad_parameters_are_refused(params: dict[str, Any]) -> None:
    assert (await got("/api/v1/recommendations", **params)).status_code == 422


async def test_a_profile_counts_what_was_done() -> None:
    result = await got("/api/v1/user-profile/u1")
    assert result.json() == {
        "user_id": "u1",
        "total_interactions": 3,
        "interaction_breakdown": {"view": 2, "like": 1},
        "top_categories": [{"category": "technology", "count": 2}, {"category": "business", "count": 1}],
        "cached": True,
    }
    unknown = await got("/api/v1/user-profile/nobody")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "unknown_user")


async def test_content_is_listed_by_category() -> None:
    everything = (await got("/api/v1/content")).json()
    some = (await got("/api/v1/content", category="technology", limit=1)).json()
    assert ([one["content_id"] for one in everything["content"]], everything["count"]) == (["i3", "i2", "i1"], 3)
    assert some == {
        "content": [{"content_id": "i3", "title": "Title of i3", "category": "technology", "description": ""}],
        "count": 1,
    }


async def test_similar_content_is_found_above_a_threshold() -> None:
    body = (await got("/api/v1/content/i1/similar")).json()
    assert [(one["content_id"], one["similarity"]) for one in body["similar"]] == [("i2", 0.5)]
    assert (await got("/api/v1/content/i1/similar", threshold=0.6)).json()["similar"] == []
    assert (await got("/api/v1/content/nothing/similar")).status_code == 404


async def test_an_explanation_says_what_adds_up_to_a_recommendation() -> None:
    body = (await got("/api/v1/recommendations/explain", user_id="u1", content_id="i2")).json()
    assert (body["rank"], body["reason"], body["source"]) == (2, "Popular in music", "popular")
    assert (body["parts"], body["ml_score"], body["combined_score"]) == ({"popular": 0.625, "ml": -0.125}, 0.5, 0.5)
    missing = await got("/api/v1/recommendations/explain", user_id="u1", content_id="nothing")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_recommended")


@pytest.mark.parametrize(
    "feed",
    [
        {"scores": [7.5, 4.25, -2.0], "parts": {"trending": [5.0, 4.25, 0.0], "popular": [2.5, 0.0, -2.0]}},
        {"scores": [3.0, 3.0, 3.0], "parts": {"popular": [3.0, 2.0, 0.0], "trending": [0.0, 1.0, 3.0]}},
        {"scores": [1.0, 0.5, 0.0], "parts": {}},
        {
            "scores": [0.888, 0.4, 0.1],
            "ml_scores": [0.87, 0.4, 0.1],
            "llm_scores": {"i1": 0.92},
            "parts": {"popular": [0.522, 0.4, 0.1], "llm": [0.368, 0.0, 0.0]},
        },
    ],
    ids=["scaled", "equal", "unexplained", "with a language model"],
)
async def test_the_parts_of_an_explanation_add_up_to_its_score(feed: dict[str, Any]) -> None:
    world = await a_world(**feed)
    for item in ("i1", "i2", "i3"):
        body = (await got("/api/v1/recommendations/explain", world, user_id="u1", content_id=item)).json()
        assert sum(body["parts"].values()) == pytest.approx(body["combined_score"], abs=1e-9)


async def test_parts_are_scaled_like_the_scores() -> None:
    world = await a_world(scores=[8.0, 4.0, -2.0], parts={"trending": [6.0, 4.0, 0.0], "popular": [2.0, 0.0, -2.0]})
    body = (await got("/api/v1/recommendations/explain", world, user_id="u1", content_id="i1")).json()
    assert body["parts"] == {"trending": 0.6, "popular": 0.2, "ml": 0.2}


async def test_recommendations_of_many_users_are_exported_as_csv() -> None:
    world = await a_world()
    await world.feeds.write([a_feed(user_id="u2")])
    async with world.http() as http:
        answer = await http.post(
            "/api/v1/recommendations/export", json={"user_ids": ["u1", "nobody", "u2"], "limit": 2}
        )
        none = await http.post("/api/v1/recommendations/export", json={"user_ids": []})
    assert answer.headers["content-type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(line["user_id"], line["rank"], line["content_id"]) for line in lines] == [
        ("u1", "1", "i1"),
        ("u1", "2", "i2"),
        ("u2", "1", "i1"),
        ("u2", "2", "i2"),
    ]
    assert (lines[0]["ml_score"], lines[0]["llm_score"], lines[0]["reason"]) == ("1.0", "", "Trending now")
    assert lines[1]["title"] == "'=HYPERLINK(1)", "what a spreadsheet would compute is text"
    assert (none.status_code, none.json()["error"]["field"]) == (422, "user_ids")


PREFERENCES = "/api/v1/user-profile/u1/preferences"


async def test_preferences_are_edited_and_the_rest_of_a_profile_stays() -> None:
    world = await a_world()
    async with world.http() as http:
        before = (await http.get(PREFERENCES)).json()
        answer = await http.put(PREFERENCES, json={"muted": ["sports"], "timezone": "Europe/Lisbon"})
        newcomer = await http.put("/api/v1/user-profile/new/preferences", json={"topics": ["ai"]})
        bad = await http.put(PREFERENCES, json={"timezone": "Nowhere/Land"})
        nothing = await http.put(PREFERENCES, json={})
    first, second = world.publisher.values_of(PROFILE_UPDATES)
    assert before["categories"] == ["music"]
    assert answer.json() == before | {"muted": ["sports"], "timezone": "Europe/Lisbon"}
    assert (first.fields, first.muted, first.timezone) == (["muted", "timezone"], ["sports"], "Europe/Lisbon")
    assert (first.occurred_at, second.user_id, second.fields) == (NOW_MS, "new", ["topics"])
    assert newcomer.status_code == 200
    assert (bad.status_code, bad.json()["error"]["field"]) == (422, "timezone")
    assert (nothing.status_code, nothing.json()) == (200, before)


async def test_preferences_that_were_changed_meanwhile_are_not_overwritten() -> None:
    world = await a_world()
    portraits: MemoryUserProfileStore = world.clients["user_profiles"]
    async with world.http() as http:
        tag = (await http.get(PREFERENCES)).headers["etag"]
        await portraits.write_stated([a_profile(categories=["music", "film"], segment="students", city="Lisbon")])
        stale = await http.put(PREFERENCES, json={"muted": ["sports"]}, headers={"If-Match": tag})
        fresh = (await http.get(PREFERENCES)).headers["etag"]
        answers = [
            await http.put(PREFERENCES, json={"muted": ["sports"]}, headers={"If-Match": etag})
            for etag in (fresh, f"W/{fresh}", f'"other", {fresh}', "*")
        ]
    assert (stale.status_code, stale.json()["error"]["code"]) == (412, "changed_meanwhile")
    assert [answer.status_code for answer in answers] == [200] * 4
    assert {answer.headers["etag"] for answer in answers} == {answers[0].headers["etag"]} != {fresh}
    assert len(world.publisher.values_of(PROFILE_UPDATES)) == 4


async def test_what_was_just_saved_is_waited_for_when_it_is_saved_again() -> None:
    class Late(MemoryUserProfileStore):
        """Holds what was saved from the third time on that it is read."""

        reads = 0

        async def read(self, user_id: str) -> UserProfile:
            self.reads += 1
            if self.reads > 2:
                await self.write_stated([a_profile(muted=["sports"])])
            return await super().read(user_id)

    world = World(clients={"user_profiles": Late()})
    async with world.http() as http:
        first = await http.put(PREFERENCES, json={"muted": ["sports"]})
        tag = first.headers["etag"]
        answer = await http.put(PREFERENCES, json={"city": "Porto"}, headers={"If-Match": tag})
    assert (answer.status_code, answer.json()["muted"], answer.json()["city"]) == (200, ["sports"], "Porto")


async def test_a_newcomers_preferences_have_a_tag_too() -> None:
    path = "/api/v1/user-profile/nobody/preferences"
    async with (await a_world()).http() as http:
        before = await http.get(path)
        answer = await http.put(path, json={"topics": ["ai"]}, headers={"If-Match": before.headers["etag"]})
    assert (before.status_code, before.json()["topics"], answer.status_code) == (200, [], 200)
