"""Audits: who was served what, and who called what is for admins."""

from tests.build import T0_MS, a_feed, an_item
from tests.unit.api.builder import NOW_MS, World
from tests.unit.api.security.test_auth import STRICT, a_token, bearer
from topics.topic import AUDITS


async def test_each_served_feed_is_audited_with_its_version() -> None:
    world = World()
    await world.items.write([an_item("i1"), an_item("i2"), an_item("i3")])
    await world.feeds.write([a_feed(user_id="ann", items=["i1", "i2", "i3"])])
    async with world.http(**STRICT) as http:
        headers = bearer(a_token()) | {"X-Request-ID": "r1"}
        answer = await http.get("/content?user_id=ann&limit=2", headers=headers)
        await http.get("/content?user_id=ann&limit=2", headers={**headers, "If-None-Match": answer.headers["ETag"]})
    [audit] = world.publisher.values_of(AUDITS)
    assert (audit.kind, audit.actor, audit.user_id, audit.request_id) == ("recommendations_served", "ann", "ann", "r1")
    assert (audit.version, audit.count, audit.fallback) == (f"5-{T0_MS + 500}", 2, False)
    assert answer.json()["version"].startswith(f"{audit.version}-")
    assert audit.occurred_at == NOW_MS


async def test_the_default_feed_is_audited_under_the_served_user() -> None:
    world = World()
    await world.feeds.write([a_feed(user_id="~everyone")])
    async with world.http() as http:
        await http.get("/content?user_id=new")
    [audit] = world.publisher.values_of(AUDITS)
    assert (audit.actor, audit.user_id, audit.fallback) == ("anonymous", "new", True)


async def test_reads_may_be_left_out() -> None:
    world = World()
    await world.feeds.write([a_feed(user_id="ann")])
    async with world.http(audit_reads=False) as http:
        await http.get("/content?user_id=ann")
    assert world.publisher.values_of(AUDITS) == []


async def test_calls_of_admins_and_rejected_callers_are_audited() -> None:
    world = World()
    async with world.http(**STRICT, admin_token="sesame") as http:
        await http.post("/admin/cache/clear/ann", headers=bearer("sesame"))
        await http.post("/admin/cache/clear/ann", headers=bearer(a_token("bob")))
        await http.post("/admin/cache/clear/ann")
    records = [(one.actor, one.user_id, one.method, one.path, one.status) for one in world.publisher.values_of(AUDITS)]
    path = "/admin/cache/clear/{user_id}"
    assert records == [
        ("admin", "ann", "POST", path, 200),
        ("bob", "ann", "POST", path, 403),
        ("anonymous", "ann", "POST", path, 401),
    ]


async def test_reads_continue_while_audits_cannot_be_published_until_later() -> None:
    world = World()
    await world.feeds.write([a_feed(user_id="ann")])
    world.publisher.is_unavailable = True
    async with world.http() as http:
        assert (await http.get("/content?user_id=ann")).status_code == 200
        assert world.publisher.values_of(AUDITS) == []
        world.publisher.is_unavailable = False
    assert len(world.publisher.values_of(AUDITS)) == 1
