"""The collecting endpoints: who may call, what is published, and what is told."""

import pytest

from infra.redis.stores.collection_store import Collection, MemoryCollectionStore
from infra.socialverse import LISTS
from tests.unit.api.builder import NOW_MS, World
from topics.topic import TRIGGERS

TOKEN = "secret"
SHOWN = {"Flic-Token": TOKEN}


@pytest.mark.parametrize("name", LISTS)
async def test_a_call_is_published_with_its_page(name: str) -> None:
    world = World()
    async with world.http(flic_token=TOKEN) as http:
        answer = await http.post(f"/api/v1/collect/{name}", headers=SHOWN)
        later = await http.post(f"/api/v1/collect/{name}", params={"page": 3, "page_size": 50}, headers=SHOWN)
    first, second = world.publisher.values_of(TRIGGERS)
    assert answer.status_code == later.status_code == 202
    assert answer.json() == {
        "status": "accepted",
        "collection": name,
        "page": 1,
        "page_size": 1_000,
        "event_id": first.event_id,
    }
    assert (first.kind, first.reason, first.user_id, first.occurred_at) == ("collect", name, "collector", NOW_MS)
    assert second.context == {"page": "3", "page_size": "50"}


@pytest.mark.parametrize("token", ["", TOKEN])
@pytest.mark.parametrize("fields", [{}, {"Flic-Token": "another"}, {"Flic-Token": ""}])
async def test_who_does_not_show_the_token_is_refused_and_everyone_where_none_is_set(
    token: str, fields: dict[str, str]
) -> None:
    world = World()
    async with world.http(flic_token=token) as http:
        answers = [
            await http.post("/api/v1/collect/all-posts", headers=fields),
            await http.get("/api/v1/collection-status", headers=fields),
        ]
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [(401, "flic_token")] * 2
    assert not world.publisher.records_by_topic


@pytest.mark.parametrize(("params", "field"), [({"page": 0}, "page"), ({"page_size": 1_001}, "page_size")])
async def test_pages_have_bounds(params: dict[str, int], field: str) -> None:
    async with World().http(flic_token=TOKEN) as http:
        answer = await http.post("/api/v1/collect/all-posts", params=params, headers=SHOWN)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


async def test_the_status_shows_the_progress_of_each_collection() -> None:
    collections = MemoryCollectionStore()
    world = World(clients={"collections": collections})
    async with world.http(flic_token=TOKEN) as http:
        idle = (await http.get("/api/v1/collection-status", headers=SHOWN)).json()
        await collections.write(Collection(name="all-posts", state="running", page=4, published=2_990, bad=10))
        running = (await http.get("/api/v1/collection-status", headers=SHOWN)).json()
    assert (idle["status"], set(idle["collections"])) == ("idle", set(LISTS))
    assert running["status"] == "running"
    collection = running["collections"]["all-posts"]
    assert (collection["state"], collection["page"], collection["published"], collection["bad"]) == (
        "running",
        4,
        2_990,
        10,
    )
