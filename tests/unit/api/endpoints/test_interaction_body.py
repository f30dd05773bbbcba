"""What clients may call their actions, and where their ratings go."""

import pytest

from tests.unit.api.builder import World, an_interaction_body
from topics.topic import INTERACTIONS


async def test_a_rating_beside_another_action_is_in_its_context() -> None:
    world = World()
    async with world.http() as http:
        body = an_interaction_body(action="click", rating=4.5, context={"rating": 1, "surface": "home"})
        assert (await http.post("/interaction", json=body)).status_code == 202
        error = (await http.post("/interaction", json=an_interaction_body(rating=9))).json()["error"]
    [event] = world.publisher.values_of(INTERACTIONS)
    assert (event.value, event.context) == (4.5, {"rating": "4.5", "surface": "home"})
    assert (error["field"], "from 0 to 5" in error["message"]) == ("rating", True)


@pytest.mark.parametrize("name", ["action", "interaction_type"])
async def test_an_ignore_is_a_skip_and_an_unknown_action_is_told_the_known_ones(name: str) -> None:
    world = World()
    click = {"user_id": "ann", "item_id": "i1"}
    async with world.http() as http:
        assert (await http.post("/interaction", json={**click, name: "ignore"})).status_code == 202
        one = (await http.post("/interaction", json={**click, name: "clicked"})).json()["error"]
        batch = (await http.post("/interaction/batch", json={"interactions": [{**click, name: "clicked"}]})).json()
    assert [event.action for event in world.publisher.values_of(INTERACTIONS)] == ["skip"]
    for error in (one, batch["error"]["problems"][0]):
        assert error["field"].endswith(name)
        names = set(error["message"].partition("use one of ")[2].split(", "))
        assert {"view", "click", "ignore", "skip", "purchase"} <= names
        assert "unknown" not in names
