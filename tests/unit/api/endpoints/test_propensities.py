"""The propensities of feeds that explore, as clients read them."""

from tests.unit.api.endpoints.test_content import a_world


async def test_content_has_the_propensities_of_a_feed_that_explores() -> None:
    world = await a_world("i2", propensities=[1.0, 0.9, 0.25])
    async with world.http() as http:
        answer = await http.get("/content", params={"user_id": "u1"})
        fields = await http.get("/content", params={"user_id": "u1", "fields": "item_id,propensity"})
        results = await http.get("/results/u1")
    assert [(item["item_id"], item["propensity"]) for item in answer.json()["items"]] == [("i1", 1.0), ("i3", 0.25)]
    assert fields.json()["items"] == [{"item_id": "i1", "propensity": 1.0}, {"item_id": "i3", "propensity": 0.25}]
    assert [item["propensity"] for item in results.json()["categories"][0]["items"]] == [1.0, 0.25]
    plain = await a_world()
    async with plain.http() as http:
        answer = await http.get("/content", params={"user_id": "u1"})
    assert all("propensity" not in item for item in answer.json()["items"])
