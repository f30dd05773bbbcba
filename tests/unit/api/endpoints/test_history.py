"""The log of the last day, shown and added up."""

from domain.timestamp import DAY_MS
from tests.build import an_interaction, an_item
from tests.unit.api.builder import NOW_MS, World


async def a_world() -> World:
    """Return a world in which ann has done four things."""
    world = World()
    actions = [
        an_interaction(user_id="ann", event_id="e1", item_id="i1", action="view", occurred_at=NOW_MS - 3),
        an_interaction(user_id="ann", event_id="e2", item_id="i1", action="like", occurred_at=NOW_MS - 2),
        an_interaction(
            user_id="ann", event_id="e3", item_id=None, action="search", query="jazz", occurred_at=NOW_MS - 1
        ),
        an_interaction(user_id="ann", event_id="e4", item_id="gone", action="view", occurred_at=NOW_MS),
    ]
    await world.interactions.write(actions)
    await world.items.write([an_item("i1", category="music")])
    return world


async def test_interactions_are_shown_newest_first_and_as_many_as_asked_for() -> None:
    async with (await a_world()).http() as http:
        answer = await http.get("/interaction/ann", params={"limit": 2})
        nobody = await http.get("/interaction/nobody")
    assert answer.json() == {
        "user_id": "ann",
        "since": NOW_MS - DAY_MS,
        "interactions": [
            {"event_id": "e4", "action": "view", "occurred_at": NOW_MS, "item_id": "gone"},
            {"event_id": "e3", "action": "search", "occurred_at": NOW_MS - 1, "query": "jazz"},
        ],
    }
    assert (nobody.status_code, nobody.json()["interactions"]) == (200, [])


async def test_interactions_are_added_up_by_action_and_category() -> None:
    async with (await a_world()).http() as http:
        answer = await http.get("/interaction/aggregate/ann")
        nobody = await http.get("/interaction/aggregate/nobody")
    assert answer.json() == {
        "user_id": "ann",
        "since": NOW_MS - DAY_MS,
        "count": 4,
        "first_at": NOW_MS - 3,
        "last_at": NOW_MS,
        "items": 2,
        "actions": {"view": 2, "like": 1, "search": 1},
        "categories": {"music": 2},
    }
    assert (nobody.json()["count"], nobody.json()["first_at"]) == (0, None)


async def test_an_id_with_a_slash_is_an_id() -> None:
    async with World().http() as http:
        answer = await http.get("/interaction/team/ann")
        refusal = await http.get("/interaction/" + "x" * 257)
    assert answer.json()["user_id"] == "team/ann"
    assert (refusal.status_code, refusal.json()["error"]["field"]) == (422, "user_id")
