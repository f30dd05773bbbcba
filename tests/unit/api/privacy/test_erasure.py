"""Erasure and export over HTTP: users for themselves, admins for anyone, at a limited rate."""

from __future__ import annotations

from typing import Any

import httpx

from infra.erasure.erasure_index import ErasureKey
from infra.erasure.erasure_store import MemoryErasureStore
from infra.erasure.erasure_tracker import ErasureProgress
from tests.unit.api.builder import NOW_MS, World
from tests.unit.api.security.test_auth import STRICT, a_token, bearer
from topics.topic import ERASURE_REQUESTS, ERASURES

KEY = "a key that is long enough for a test"


class Tracker:
    """Reports one erasure, of Alex."""

    async def progress(self, user_id: str) -> ErasureProgress | None:
        if user_id != "alex":
            return None
        return ErasureProgress(request_id="r1", requested_at=1, pending_roles=["push"])


def code(answer: httpx.Response) -> Any:
    return answer.status_code, answer.json()["error"]["code"]


async def test_an_erasure_is_in_force_before_it_is_accepted() -> None:
    store = MemoryErasureStore()
    world = World(clients={"erasures": store})
    async with world.http(erasure_key=KEY) as http:
        answer = await http.delete("/user/alex")
    user_hash = ErasureKey(KEY.encode()).hash_of(b"alex")
    [erasure] = world.publisher.values_of(ERASURES)
    [request] = world.publisher.values_of(ERASURE_REQUESTS)
    assert answer.status_code == 202
    assert answer.json() == {"request_id": request.event_id, "user_hash": user_hash}
    assert (erasure.user_hash, erasure.request_id) == (user_hash, request.event_id)
    assert (request.user_id, request.occurred_at) == ("alex", NOW_MS)
    entry = await store.read(user_hash)
    assert entry is not None
    assert (entry.erasure.request_id, entry.erasure.offset) == (request.event_id, 0)


async def test_nobody_is_erased_without_a_broker_or_a_key_or_an_id() -> None:
    world = World()
    world.publisher.is_unavailable = True
    async with world.http() as http:
        assert code(await http.delete("/user/alex")) == (503, "broker_away")
        assert code(await http.delete("/user/~everyone")) == (422, "invalid_value")
    async with World().http(environment="production", api_security="off") as http:
        assert code(await http.delete("/user/alex")) == (503, "no_erasure_key")
        assert code(await http.get("/user/alex/erasure")) == (503, "no_erasure_key")


async def test_the_progress_names_the_roles_that_are_not_done() -> None:
    async with World(clients={"erasure_tracker": Tracker()}).http() as http:
        assert (await http.get("/user/alex/erasure")).json()["pending_roles"] == ["push"]
        assert code(await http.get("/user/kim/erasure")) == (404, "no_erasure")


async def test_an_export_of_nobody_is_empty() -> None:
    async with World().http() as http:
        export = (await http.get("/user/alex/export")).json()
    assert (export["user_id"], export["redis"], export["topics"]) == ("alex", {}, {})


async def test_a_user_may_erase_and_export_nobody_else() -> None:
    async with World().http(**STRICT, erasure_key=KEY) as http:
        own, admin = bearer(a_token("alex")), bearer(a_token("boss", scope="admin"))
        for method, path in (("DELETE", "/user/kim"), ("GET", "/user/kim/erasure"), ("GET", "/user/kim/export")):
            assert code(await http.request(method, path, headers=own)) == (403, "forbidden"), path
            assert code(await http.request(method, path)) == (401, "unauthorized"), path
        assert (await http.delete("/user/alex", headers=own)).status_code == 202
        assert (await http.delete("/user/kim", headers=admin)).status_code == 202


async def test_erasures_and_exports_of_a_user_are_limited_by_the_hash_of_the_id() -> None:
    world = World()
    async with world.http(**STRICT, erasure_key=KEY, rate_limit_erasure="2/hour") as http:
        headers = bearer(a_token("alex"))
        answers = [await http.delete("/user/alex", headers=headers) for _ in range(2)]
        answers.append(await http.get("/user/alex/export", headers=headers))
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert len(world.publisher.values_of(ERASURE_REQUESTS)) == 2
