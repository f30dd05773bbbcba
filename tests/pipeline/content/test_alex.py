"""Alex's Friday evening, as the content engine's document tells it: on real servers, by a clock of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from infra.address import Addresses
from infra.fakes.fake_claude import KEY, FakeClaude
from infra.fakes.fake_fcm import FakeFcm
from infra.local.port import free_ports
from schemas.types import Item
from tests.build import an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, local_ms, until
from topics.topic import INTERACTIONS, ITEMS, LLM_CALLS

ADMIN = {"Authorization": "Bearer admins-only"}
SUBJECTS = ("jazz", "rock", "folk", "comedy", "art", "food")
NEW_YORK = {"cell": "892a1072c9bffff", "city": "New York"}
LISBON = {"cell": "89393362b27ffff", "city": "Lisbon"}
ROSSIO = {"lat": 38.7139, "lon": -9.1394}
HERE = tuple(f"{category}:new-york-city-us-ny" for category in ("events", "workshops", "places"))
THERE = tuple(f"{category}:85393367fffffff" for category in ("events", "workshops", "places"))

Feed = dict[str, Any]


def ms(text: str) -> int:
    """Return a time in New York."""
    return local_ms(text, "America/New_York")


def guide() -> list[Item]:
    """Return what a city guide has known for long."""
    about = {"created_at": ms("2023-09-01 12:00")}
    songs = [an_item(f"song-{name}", category="music", topics=[name], **about) for name in SUBJECTS]
    films = [an_item(f"film-{name}", category="movies", topics=[name], **about) for name in SUBJECTS]
    halls = [an_item(f"hall-{name}", category="places", topics=[name], **about, **NEW_YORK) for name in SUBJECTS]
    return [*songs, *films, *halls, an_item("castle", category="places", topics=["art"], **about, **LISBON)]


class Alex:
    """Alex, 29, in New York: what their phone sees and sends, and the clock by which everything happens."""

    def __init__(self, pipeline: Pipeline, claude: FakeClaude, fcm: FakeFcm, http: httpx.AsyncClient) -> None:
        self.pipeline, self.claude, self.fcm, self.http = pipeline, claude, fcm, http
        self.now_ms = 0

    def at(self, text: str) -> None:
        """Set the clock to a time in New York."""
        self.now_ms = ms(text)
        self.pipeline.set_clock(self.now_ms)

    async def sends(self, path: str, **body: Any) -> None:
        """Post what the phone has to say."""
        answer = await self.http.post(path, json={"user_id": "alex"} | body)
        assert answer.status_code == 202, answer.text

    async def does(self, action: str, item_id: str) -> Feed:
        """Act on an item, and return the first feed that knows of it."""
        self.now_ms += 1
        await self.sends("/interaction", action=action, item_id=item_id, occurred_at=self.now_ms)
        return await self.feed(lambda feed: feed["watermark"] >= self.now_ms)

    async def feed(self, fits: Callable[[Feed], Any]) -> Feed:
        """Return the feed as soon as it fits."""

        async def found() -> Feed | None:
            answer = await self.http.get("/content", params={"user_id": "alex"})
            return answer.json() if answer.status_code == 200 and fits(answer.json()) else None

        feed: Feed = await until(found, what="such a feed")
        return feed

    async def town(self, item_ids: Sequence[str], *, value: float, neighbours: int = 6) -> None:
        """Have some neighbours rate items."""
        ratings = [
            an_interaction(
                user_id=f"neighbour-{n}", item_id=item_id, action="rate", value=value, occurred_at=self.now_ms
            )
            for n in range(neighbours)
            for item_id in item_ids
        ]
        await self.pipeline.publish(INTERACTIONS, ratings)

        async def counted() -> bool:
            stats = await self.pipeline.stats()
            return all(item_id in stats and stats[item_id].rating_count >= neighbours for item_id in item_ids)

        async def viewed() -> bool:
            return not any(what.endswith(("into memory", "to refresh")) for what in await self.pipeline.work_left())

        await until(counted, what="the ratings of the town")
        await until(viewed, what="the ratings in the workers' snapshots")

    async def cached(self) -> dict[str, Any]:
        """Return what lies in the cache for Alex, by category and place."""
        answer = await self.http.get("/admin/cache/view/alex", headers=ADMIN)
        return {":".join(filter(None, (one["category"], one["place"]))): one for one in answer.json()["entries"]}

    async def finds(self, reason: str, *slots: str) -> dict[str, Any]:
        """Wait until what a trigger asked for lies in some slots of the cache, and return these."""

        async def there() -> dict[str, Any] | None:
            answers = await self.cached()
            return answers if all(slot in answers and answers[slot]["reason"] == reason for slot in slots) else None

        answers = await until(there, what=f"the cache for {reason}")
        contents = {slot: answers[slot] for slot in slots}
        assert {(one["source"], one["fallback"]) for one in contents.values()} == {("llm", "")}
        return contents

    async def a_night_passes(self) -> None:
        """Let what was cached expire, as Redis does by its own clock."""
        assert (await self.http.post("/admin/cache/clear/alex", headers=ADMIN)).json()["cleared"] == 5

    async def decision(self, item_id: str, status: str = "") -> dict[str, Any]:
        """Wait for a decision on an item."""

        async def found() -> dict[str, Any] | None:
            decisions = [
                one for one in await self.decisions() if one["item_id"] == item_id and one["status"] != "not_worth_it"
            ]
            return decisions[-1] if decisions and status in ("", decisions[-1]["status"]) else None

        last_decision: dict[str, Any] = await until(found, what=f"a decision on {item_id}")
        return last_decision

    async def decisions(self) -> list[dict[str, Any]]:
        """Return what was decided on pushes, oldest first."""
        answer = await self.http.get("/notifications/alex")
        return list(reversed(answer.json()["notifications"]))


@pytest.fixture
async def alex(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Alex]:
    """Alex, of whom everything is known that there is to know on a Thursday, in a town that goes about its business."""
    async with AsyncExitStack() as exits:
        pipeline = await exits.enter_async_context(a_pipeline(stack, tmp_path_factory.mktemp("alex")))
        claude, fcm = FakeClaude(), FakeFcm()
        services, push_url = [await exits.enter_async_context(double.serve()) for double in (claude, fcm)]
        (port,) = free_ports(1)
        http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30)
        alex = Alex(pipeline, claude, fcm, await exits.enter_async_context(http))
        alex.at("2023-11-16 12:00")
        await pipeline.start_module("tests.pipeline.clock_worker")
        await pipeline.start_module(
            "tests.pipeline.content.push_worker",
            FCM_BASE_URL=push_url,
            FCM_SERVICE_ACCOUNT=fcm.service_account(push_url),
        )
        await pipeline.start("fetch", LLM_BASE_URL=services, ANTHROPIC_API_KEY=KEY)
        await pipeline.start_api(port, ADMIN_TOKEN="admins-only")
        await pipeline.publish(ITEMS, guide())
        await alex.town([item.item_id for item in guide()], value=3.0)
        await alex.sends(
            "/profile",
            topics=["jazz", "hiking", "cooking"],
            segment="25-34",
            timezone="America/New_York",
            city="New York",
            attributes={"keywords": "live music, outdoors"},
            occurred_at=alex.now_ms,
        )

        async def known() -> bool:
            features = (await pipeline.features()).get("alex")
            return features is not None and features.city == "New York"

        await until(known, what="the profile")  # before the first action: feeds without it lead by other distances
        quiet = {"start": "22:00", "end": "10:00", "timezone": "America/New_York"}
        await alex.sends("/push/register", token="phone", platform="ios", preferences={"quiet_hours": quiet})
        yield alex


def by_topic(feed: Feed, topic: str) -> list[Feed]:
    """Return the items of a feed that are of a topic."""
    return [entry for entry in feed["items"] if topic in entry["item"]["topics"]]


def ranks(feed: Feed, items: set[str]) -> list[int]:
    """Return the places of some items in a feed."""
    return [rank for rank, entry in enumerate(feed["items"]) if entry["item_id"] in items]


async def test_alexs_friday_evening(alex: Alex) -> None:
    for item_id in ("song-rock", "film-folk", "hall-art"):
        await alex.does("view", item_id)
    assert await alex.cached() == {}

    alex.at("2023-11-17 17:00")
    answers = await alex.finds("friday-evening", *HERE, "music", "movies")
    prefetched_items = {listed_item["item_id"] for one in answers.values() for listed_item in one["items"]}

    friday = await alex.feed(lambda feed: prefetched_items <= {entry["item_id"] for entry in feed["items"]})
    offers = [entry for entry in friday["items"] if entry["source"] == "prefetched"]
    assert {("events", "jazz"), ("workshops", "cooking"), ("places", "hiking")} <= {
        (entry["item"]["category"], topic) for entry in offers for topic in entry["item"]["topics"]
    }
    tonight, other, *_ = (entry for entry in by_topic(friday, "jazz") if entry["item"]["category"] == "events")
    assert friday["items"][0]["item_id"] == tonight["item_id"]
    assert tonight["reason"] == "Tonight, found for you"
    masterclass = next(entry for entry in by_topic(friday, "cooking") if entry["item"]["category"] == "workshops")
    assert masterclass["reason"] == "Tomorrow, found for you"

    click = await alex.does("click", tonight["item_id"])
    jazz = {entry["item_id"] for entry in by_topic(friday, "jazz")} - {tonight["item_id"], "song-jazz"}
    assert sum(ranks(click, jazz)) < sum(ranks(friday, jazz)) - len(jazz)
    assert click["items"][0]["item_id"] == other["item_id"]

    alex.at("2023-11-18 02:00")
    gala = an_item("jazz-gala", category="events", topics=["jazz", "concert"], created_at=alex.now_ms, **NEW_YORK)
    await alex.pipeline.publish(ITEMS, [gala])
    await alex.town(("jazz-gala",), value=5.0, neighbours=18)
    await alex.a_night_passes()
    alex.claude.gate.clear()  # the morning's feed is ranked before its content comes
    alex.at("2023-11-18 09:00")
    decision = await alex.decision("jazz-gala")
    assert (decision["status"], decision["due_at"]) == ("quiet_hours", ms("2023-11-18 10:00"))
    alex.claude.gate.set()
    await alex.finds("saturday-morning", *HERE, "music", "movies")
    alex.at("2023-11-18 09:59")
    await alex.pipeline.pushed()
    assert alex.fcm.deliveries == []
    alex.at("2023-11-18 10:00")
    sent_decision = await alex.decision("jazz-gala", "sent")
    assert (sent_decision["title"], sent_decision["link"]) == (gala.title, "/item/jazz-gala")
    await alex.does("view", "film-art")
    await alex.pipeline.pushed()
    assert [listed_item.message["data"]["item_id"] for listed_item in alex.fcm.deliveries] == ["jazz-gala"]

    alex.at("2023-11-18 20:00")
    await alex.sends("/location", **ROSSIO, occurred_at=alex.now_ms)
    answers = await alex.finds("new-city", *THERE)
    there = {listed_item["item_id"] for one in answers.values() for listed_item in one["items"]}
    arrival_feed = await alex.feed(lambda feed: there <= {entry["item_id"] for entry in feed["items"]})
    assert {entry["item"]["city"] for entry in arrival_feed["items"]} == {None, "Lisbon"}
    assert len(alex.claude.requests) == len(await alex.pipeline.read(LLM_CALLS)) == 5 + 5 + 3
    assert await alex.pipeline.dead_letters() == []
