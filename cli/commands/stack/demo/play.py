"""The demo's steps: load a data set into a running stack, wait until it is processed, click once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import msgspec
from redis.asyncio import Redis

from cli.address import api_url
from cli.commands.stack.demo.click import click, item_ids, read_feed
from cli.commands.stack.demo.proof import DemoError, Proof
from cli.commands.stack.demo.publish import post, to_api, to_kafka
from cli.commands.stack.demo.screen import Screen
from cli.commands.stack.demo.watch import Watch
from cli.kafka import open_kafka
from infra import clock
from infra.fakes import CLAUDE, FIREBASE
from infra.kafka.publisher import Publisher
from infra.redis.connection import connect
from infra.redis.stores.prefetch_store import RedisPrefetchStore
from infra.redis.stores.push_store import MAX_NOTIFICATIONS, RedisPushStore
from infra.settings import Settings
from loaders import Dataset, event_id
from portal import USERS_KEY, DemoUser
from schemas.types import Profile, Trigger
from topics.topic import INTERACTIONS, ITEMS, PROFILES, TRIGGERS

_API_SHARE = 0.1
"""Fraction of the interactions, the last ones, that are sent over HTTP as by client apps."""
_API_PROFILES = 20
"""Number of profiles, the first ones, that are sent over HTTP."""
_HTTP_TIMEOUT_S = 30.0


@dataclass(slots=True)
class Play:
    """One run on one stack. It fills in the proof step by step, so that a failed run shows its progress."""

    data: Dataset
    proof: Proof
    screen: Screen
    client: httpx.AsyncClient
    publisher: Publisher
    redis: Redis
    watch: Watch
    run_at_ms: int

    async def begin(self) -> None:
        """Wait until the workers have finished the work of an earlier run, then start counting.

        Raises:
            DemoError: they do not finish in time.
        """
        with self.screen.step("workers ready"):
            await self.watch.begin(self.data.user_ids)

    async def load(self) -> None:
        """Publish the data set through Kafka and HTTP, and wait until the feeds reflect all its events.

        Raises:
            DemoError, PublishError: publishing or processing failed.
        """
        users = self.data.user_ids
        await self._offer_users(users)
        with self.screen.step("catalogue → Kafka", len(self.data.items)) as advance:
            self.proof.items = await to_kafka(self.publisher, ITEMS, self.data.items, advance)
            await self.watch.wait_until_idle("reading the catalog")
        await self._publish_profiles(self.data.profiles)
        over_http_from = round(len(self.data.interactions) * (1 - _API_SHARE))
        direct, over_http = self.data.interactions[:over_http_from], self.data.interactions[over_http_from:]
        with self.screen.step("interactions → Kafka", len(direct)) as advance:
            self._count("kafka", await to_kafka(self.publisher, INTERACTIONS, direct, advance))
        with self.screen.step("interactions → POST /interaction/batch", len(over_http)) as advance:
            self._count("api", await to_api(self.client, over_http, advance))
        await self._wait_until_processed(users)
        with self.screen.step("trends and co-occurrence learned"):
            await self.watch.wait_until_idle("learning")
        await self._rank_everyone(users)

    async def fetch(self, user_id: str) -> None:
        """Prefetch content for a user before the feed is read.

        Raises:
            DemoError: the content was not fetched in time.
        """
        with self.screen.step(f"content prefetched for {user_id}{self._fake_note(CLAUDE)}"):
            await post(self.client, "/retrieve", {"user_id": user_id, "reason": "demo"})
            store = RedisPrefetchStore(self.redis)

            async def fetched() -> bool:
                questions, answers = await store.read_questions(user_id), await store.read(user_id)
                self.proof.prefetched = {one.category: len(one.items) for one in answers}
                self.proof.fetched_by = sorted({one.source for one in answers})
                return bool(questions) and self.proof.prefetched.keys() >= {one.category for one in questions}

            await self.watch.wait_for("some content was not fetched", fetched)
            await self.watch.wait_until_idle("ranking the fetched content")

    async def push(self, user_id: str) -> None:
        """Register a device for a user, and push the top item of the feed to it.

        Raises:
            DemoError: there was no decision on the push in time.
        """
        leader = (await read_feed(self.client, user_id))["items"][0]
        now_ms = clock.now_ms()
        body = {
            "user_id": user_id,
            "event_id": event_id(now_ms, "push", self.run_at_ms),
            "title": (leader["item"] or {}).get("title", leader["item_id"]),
            "body": leader["reason"],
        }
        with self.screen.step(f"push to {user_id}{self._fake_note(FIREBASE)}"):
            await post(self.client, "/push/register", {"user_id": user_id, "token": "demo", "platform": "web"})
            await post(self.client, "/push/send", body)
            store = RedisPushStore(self.redis)

            async def decided() -> bool:
                for notification in await store.read_notifications(user_id, MAX_NOTIFICATIONS):
                    if notification.request_id == body["event_id"]:
                        self.proof.pushed, self.proof.push = (
                            notification.title,
                            f"{notification.status}: {notification.reason}",
                        )
                return bool(self.proof.push)

            await self.watch.wait_for("there is no decision on a push", decided)

    def _fake_note(self, service: str) -> str:
        return f" (simulated {service})" if service in self.proof.fakes else ""

    async def show(self, user_id: str) -> None:
        """Print a user's feed before and after one click.

        Raises:
            DemoError: the feed did not change in time.
        """
        now_ms = clock.now_ms()
        outcome = await click(self.client, user_id, event_id(now_ms, "click", self.run_at_ms), now_ms)
        self._count("click", 1)
        label = self.data.labels.get(user_id, "")
        self.proof.user, self.proof.clicked = user_id, outcome.item["item_id"]
        self.proof.feed_before, self.proof.feed_after = item_ids(outcome.before), item_ids(outcome.after)
        self.proof.click_to_feed_ms = outcome.took_ms
        title = (outcome.item["item"] or {}).get("title", self.proof.clicked)
        self.screen.feed(f"\nFeed of {user_id} ({label})" if label else f"\nFeed of {user_id}", outcome.before)
        self.screen.feed(f"\n{outcome.took_ms:.0f} ms after one click on “{title}”", outcome.after, outcome.before)

    async def summarize(self) -> None:
        """Complete the proof's counts of published, processed and dead-lettered interactions, and of feeds.

        Raises:
            DemoError: the counts do not add up, or a user has no feed.
        """
        users = self.data.user_ids
        await self._wait_until_processed(users)
        with self.screen.step("feeds up to date", len(users)):
            await self._wait_for_feeds(users, after={})
            await self.watch.wait_until_idle("the last feeds")
        # Counted again now that the pipeline is idle: events folded twice would show here.
        self.proof.processed, self.proof.dead_lettered = self.watch.processed(users), self.watch.dead_lettered()
        if not self.proof.adds_up():
            raise DemoError("published, processed and dead-lettered do not add up")

    async def _offer_users(self, users: Sequence[str]) -> None:
        demo_users = [DemoUser(user_id, self.data.labels.get(user_id, "")) for user_id in users]
        await self.redis.set(USERS_KEY, msgspec.json.encode(demo_users))

    async def _publish_profiles(self, profiles: Sequence[Profile]) -> None:
        with self.screen.step("profiles → POST /profile, Kafka", len(profiles)) as advance:
            for profile in profiles[:_API_PROFILES]:
                await post(self.client, "/profile", profile)
                advance(1)
            rest = profiles[_API_PROFILES:]
            self.proof.profiles = len(profiles) - len(rest) + await to_kafka(self.publisher, PROFILES, rest, advance)

    def _count(self, way: str, count: int) -> None:
        self.proof.published += count
        self.watch.expected = self.proof.published
        self.proof.published_by[way] = self.proof.published_by.get(way, 0) + count

    async def _wait_until_processed(self, users: Sequence[str]) -> None:
        """Wait until features and dead letters account for all published interactions."""
        with self.screen.step("folded into features", self.proof.published) as advance:

            async def accounted() -> bool:
                before = self.proof.processed + self.proof.dead_lettered
                self.proof.processed = self.watch.processed(users)
                self.proof.dead_lettered = self.watch.dead_lettered()
                advance(self.proof.processed + self.proof.dead_lettered - before)
                return self.proof.adds_up()

            async def left() -> int:
                return self.proof.published - self.proof.processed - self.proof.dead_lettered

            advance(self.proof.processed + self.proof.dead_lettered)
            await self.watch.wait_for("not all interactions are accounted for", accounted, left)

    async def _rank_everyone(self, users: Sequence[str]) -> None:
        """Request a new feed for all users, now that all events are folded, and wait for the feeds."""
        before = {user_id: features.version for user_id, features in self.watch.features().items()}
        now_ms = clock.now_ms()
        triggers = [
            Trigger(
                event_id=event_id(now_ms, "rerank", self.run_at_ms, user_id),
                user_id=user_id,
                kind="rerank",
                reason="demo",
                occurred_at=now_ms,
            )
            for user_id in users
        ]
        with self.screen.step("all users ranked", len(users)) as advance:
            await to_kafka(self.publisher, TRIGGERS, triggers, lambda _: None)
            await self._wait_for_feeds(users, after=before)
            advance(len(users))

    async def _wait_for_feeds(self, users: Sequence[str], *, after: dict[str, int]) -> None:
        async def ranked() -> bool:
            self.proof.users_with_feeds = await self.watch.current_feeds(users, after=after)
            return self.proof.users_with_feeds == len(users)

        async def left() -> int:
            return len(users) - self.proof.users_with_feeds

        await self.watch.wait_for("feeds are missing or old", ranked, left)


@asynccontextmanager
async def open_play(settings: Settings, data: Dataset, screen: Screen, proof: Proof) -> AsyncIterator[Play]:
    """Connect to a running stack."""
    async with (
        open_kafka(settings) as (registry, publisher),
        httpx.AsyncClient(base_url=api_url(settings), timeout=_HTTP_TIMEOUT_S, trust_env=False) as client,
    ):
        redis = connect(settings.redis_url)
        watch = Watch(settings.kafka_bootstrap_servers, registry, redis)
        try:
            proof.broker = await watch.describe_broker()
            yield Play(data, proof, screen, client, publisher, redis, watch, clock.now_ms())
        finally:
            await watch.close()
            await redis.aclose()
