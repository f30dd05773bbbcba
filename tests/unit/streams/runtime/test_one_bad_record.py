"""One record or state at which our own code fails is set aside; no role ends over it, and the others go on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from aiokafka import TopicPartition
from msgspec import structs

from infra.erasure.erasure_index import ErasureIndex
from infra.kafka.partition import partition_of
from infra.kafka.publisher import Publisher
from infra.redis.stores.feed_store import DEFAULT_FEED, FeedStore, MemoryFeedStore
from infra.redis.stores.model_status import ModelStatus
from infra.settings import Settings
from models.blend.blender import Blender
from schemas.types import Choice, DeadLetter, Features, Feed, Interaction, Item, RecentItem
from streams.agents.agent_context import AgentContext
from streams.agents.combine import CombineAgent
from streams.agents.exposures import ExposureRecorder
from streams.agents.outcomes import OutcomeRecorder
from streams.agents.rank import Ranker, Work
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import new_blender, rank
from streams.core.ranking.stages.llm_blend import LlmScoreCache
from streams.core.user.user_state import UserState
from streams.roles.trainer.trainer_role import Trainer
from streams.runtime.arm_params import ExperimentParams
from streams.runtime.dead_letter_queue import DeadLetterQueue
from streams.runtime.role import Role
from streams.runtime.state.global_tables import GlobalTables
from streams.runtime.state.record_cache import _FORMAT
from streams.transport import Batch
from tests.broker import App, Broker, Codecs, Event, Message, Ranked, Reader, Ready, Record, Table, Worker
from tests.build import T0_MS, a_choice, an_interaction, an_item, features, llm_scores, stats
from tests.params import LLM_BLEND_PARAMS, RANK_PARAMS
from topics import Topic
from topics.topic import (
    CHOICES,
    DEAD_LETTERS,
    FEATURES,
    FEEDS,
    GLOBAL_TABLES,
    INTERACTIONS,
    ITEM_STATS,
    ITEMS,
    LLM_SCORES,
    PARTITIONS,
)

EXPERIMENTS = ExperimentParams(Settings())
"""None."""


def letters(broker: Broker) -> Counter[tuple[str, str, bytes]]:
    new_letters: dict[str, DeadLetter] = broker.newest(DEAD_LETTERS)
    return Counter((letter.stage, letter.reason, letter.key or b"") for letter in new_letters.values())


def records(topic: Topic, *values: Any) -> list[Record]:
    codec = Codecs().codec(topic.record)
    return [
        Record(topic.name, 0, number, topic.key_of(value), codec.encode(value), T0_MS)
        for number, value in enumerate(values)
    ]


def an_event(app: Any, topic: Topic, *values: Any) -> Event:
    end = 100 + (app.ledger.load((topic.name, 0)).batches and 100)
    in_flight = app.ledger.deliver((topic.name, 0), end, records=len(values), size_bytes=1)
    return Event(app, Message(in_flight, (topic.name, 0)), Batch(topic.name, 0, cast(Any, records(topic, *values))))


class World:
    """What agents of the feed role share."""

    def __init__(self, view: CatalogSnapshot | None = None) -> None:
        self.broker, self.app = Broker(), App()
        registry = cast(Any, Codecs())
        self.publisher = Publisher("", registry, new_producer=cast(Any, self.broker.producer))
        self.dead_letters = DeadLetterQueue(self.publisher, now_ms=lambda: T0_MS)
        blender: Blender = new_blender()
        self.context = AgentContext(
            cast(Any, self.app),
            Settings(),
            registry,
            self.publisher,
            self.dead_letters,
            ErasureIndex(None),
            view or CatalogSnapshot(),
            blender,
            cast(Any, Ready()),
            lambda: T0_MS,
        )


async def test_features_that_cannot_be_built_become_a_dead_letter_of_their_user() -> None:
    broker, codec = Broker(), Codecs().codec(Interaction)
    invalid_state = UserState("u0", version=5, watermark=0, event_count=1 << 63)
    for number in range(8):
        broker.append("users-changelog", number, b"u0", _FORMAT + msgspec.msgpack.encode(invalid_state))
    for number in range(12):
        event = an_interaction(user_id=f"u{number % 3}", item_id="i1", action="search", query="q", occurred_at=T0_MS)
        broker.append(INTERACTIONS.name, 0, event.user_id.encode(), codec.encode(event))
    worker = Worker(broker)
    users: Reader = worker.readers[0]
    while await users.read():
        pass
    while await users.read():
        pass
    await users.agent.checkpoint.force()
    users.commit()
    assert ("publish", "unwritable", b"u0") in letters(broker)
    assert b"u0" not in {key.encode() for key in broker.newest(FEATURES)}
    assert broker.committed_offsets["users", (INTERACTIONS.name, 0)] == 12
    await worker.publisher.close()


class Cursed(CatalogSnapshot):
    """A view that fails at one item."""

    def apply_item(self, item: Item) -> None:
        if item.item_id == "cursed":
            raise OverflowError("a cursed item")
        super().apply_item(item)


@dataclass
class Log:
    """A consumer of what broadcast topics hold."""

    batches: dict[TopicPartition, list[Record]]

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[Record]]:
        return self.batches

    async def position(self, tp: TopicPartition) -> int:
        return len(self.batches.get(tp, ()))


async def test_a_view_that_fails_at_a_record_goes_on_with_the_next() -> None:
    world, view = World(), Cursed()
    broadcast = GlobalTables("", view, new_blender(), cast(Any, Codecs()), world.dead_letters, experiments=EXPERIMENTS)
    items = records(ITEMS, an_item("a"), an_item("cursed"), an_item("b"))
    wrong = records(ITEM_STATS, stats("a", horizons=[1.0, 2.0]), stats("b", cohorts=[0.0, 1.0]), stats("c"))
    log = Log({TopicPartition(ITEMS.name, 0): items, TopicPartition(ITEM_STATS.name, 0): wrong})
    partitions = [TopicPartition(topic.name, 0) for topic in GLOBAL_TABLES]
    await broadcast._follow(cast(Any, log), partitions)
    assert view.labels("a") is not None
    assert view.labels("b") is not None
    assert view.items.get("c") >= 0
    await world.publisher.flush()
    assert letters(world.broker) == {
        ("broadcast.apply", "agent_error", b"cursed"): 1,
        ("broadcast.apply", "out_of_range", b"a"): 1,
        ("broadcast.apply", "out_of_range", b"b"): 1,
    }
    assert broadcast.progress()[f"{ITEMS.name}-0"] == 3
    await world.publisher.close()


class NoBoards:
    async def write(self, board: ModelStatus) -> None:
        pass

    async def read(self) -> ModelStatus:
        return ModelStatus()


async def test_a_trainer_that_fails_at_a_record_sets_it_aside(tmp_path: Path) -> None:
    world = World()
    settings = replace(Settings(), millrace_home=tmp_path)
    none: Any = None
    registry, erasures = cast(Any, Codecs()), ErasureIndex(None)
    role = Role("trainer", settings, registry, world.publisher, none, world.dead_letters, erasures, none)
    trainer = Trainer(role, NoBoards())
    choices = [a_choice(user_id=user_id) for user_id in ("a", "cursed", "b")]
    choices[1] = structs.replace(choices[1], context=[1_000_000])  # a class that the blender does not have
    unusable = Record(CHOICES.name, 0, 3, b"u1", b"no record", T0_MS)
    fetched_records = [*records(CHOICES, *choices), unusable]
    await trainer._apply_fetched({TopicPartition(CHOICES.name, 0): cast(Any, fetched_records)})
    assert trainer.live.outcomes == 2
    await world.publisher.flush()
    new_letters: list[DeadLetter] = list(world.broker.newest(DEAD_LETTERS).values())
    assert {(one.topic, one.offset, one.reason) for one in new_letters} == {
        (CHOICES.name, 1, "agent_error"),
        (CHOICES.name, 3, "bad_frame"),
    }
    [letter] = [one for one in new_letters if one.offset == 1]
    assert Codecs().codec(Choice).decode(letter.value) == choices[1]
    await world.publisher.close()


def recorder(world: World) -> OutcomeRecorder:
    return OutcomeRecorder(world.publisher, rating_scale=5.0, now_ms=lambda: T0_MS)


def new_ranker(
    world: World,
    store: FeedStore,
    experiments: ExperimentParams = EXPERIMENTS,
    *,
    llm_scores: LlmScoreCache | None = None,
    **options: Any,
) -> Ranker:
    """Return a ranker of a world."""
    return Ranker(
        world.context,
        store,
        llm_scores or LlmScoreCache(LLM_BLEND_PARAMS),
        experiments,
        outcomes=recorder(world),
        exposures=ExposureRecorder(world.publisher, experiments.table),
        **options,
    )


class Picky(MemoryFeedStore):
    """A store that fails at one user's feed."""

    async def write(self, feeds: Sequence[Feed]) -> int:
        if any(feed.user_id == "bad" for feed in feeds):
            raise ValueError("not this one")
        return await super().write(feeds)


async def test_a_feed_that_cannot_be_written_stops_no_other() -> None:
    view = CatalogSnapshot()
    view.apply_item(an_item("i1"))
    view.apply_item(an_item("muted"))
    view.refresh()
    world, store = World(view), Picky()
    ranker = new_ranker(world, store)
    users, release = ["good", "bad", "better"], asyncio.Event()
    events = records(INTERACTIONS, *(an_interaction(user_id=user) for user in users))
    work: dict[str, Work] = {
        user: (record, features(user_id=user, version=7, muted=["muted"]))
        for user, record in zip(users, events, strict=True)
    }
    ranker.put(release.set, work)
    ranking = asyncio.create_task(ranker.run())
    async with asyncio.timeout(5):
        await release.wait()
    assert [feed is not None for feed in await store.read(users)] == [True, False, True]
    await world.publisher.flush()
    assert letters(world.broker) == {("rank.write", "agent_error", b"bad"): 1}
    [letter] = world.broker.newest(DEAD_LETTERS).values()
    assert (letter.topic, letter.value) == (INTERACTIONS.name, events[1].value), "the event that the feed was made for"
    assert ranker.removed_counts["muted"] == len(users)
    ranking.cancel()
    await asyncio.gather(ranking, return_exceptions=True)
    assert DEFAULT_FEED not in world.broker.newest(FEEDS)
    await world.publisher.close()


async def test_no_feed_of_an_erased_user_is_written_but_one_of_newer_features_is() -> None:
    view = CatalogSnapshot()
    view.apply_item(an_item("i1"))
    view.refresh()
    world, store = World(view), MemoryFeedStore()
    ranker = new_ranker(world, store)
    releases = [asyncio.Event() for _ in range(2)]
    [record] = records(INTERACTIONS, an_interaction())
    ranker.put(releases[0].set, {"erased": (record, features(user_id="erased", version=7))})
    await ranker.forget({"erased": 7})
    ranking = asyncio.create_task(ranker.run())
    async with asyncio.timeout(5):
        await releases[0].wait()
        assert await store.read(["erased"]) == [None]
        ranker.put(releases[1].set, {"erased": (record, features(user_id="erased", version=8))})
        await releases[1].wait()
    assert [feed is not None for feed in await store.read(["erased"])] == [True]
    ranking.cancel()
    await asyncio.gather(ranking, return_exceptions=True)
    await world.publisher.close()


async def test_items_that_never_come_hold_a_feed_up_once_and_not_one_after_the_other() -> None:
    world = World()
    scores = LlmScoreCache(LLM_BLEND_PARAMS)
    ranker = new_ranker(world, Picky(), llm_scores=scores, fetched_item_timeout_s=0.05)
    never = [f"never-{number}" for number in range(1_000)]
    [record] = records(INTERACTIONS, an_interaction())
    release = [asyncio.Event(), asyncio.Event()]
    for version, one in enumerate(release, 1):
        early, other = features(prefetched=never, version=version), features(user_id="u2")
        ranker.put(one.set, {early.user_id: (record, early), other.user_id: (record, other)})
    ranking = asyncio.create_task(ranker.run())
    async with asyncio.timeout(5):
        await asyncio.gather(*(one.wait() for one in release))
    assert (ranker._early, ranker._until_s, ranker.waiting) == ({}, {}, 0)
    ranking.cancel()
    await asyncio.gather(ranking, return_exceptions=True)
    await world.publisher.close()


def test_a_catalogue_of_which_nothing_is_drawn_yet_gives_an_empty_feed() -> None:
    view = CatalogSnapshot()
    view.apply_stats(stats("i1"))
    user_features = features(recent=[RecentItem(item_id="i1", weight=1.0, at=T0_MS)], seen=["i1"], event_count=1)
    assert rank(user_features, view, new_blender(), RANK_PARAMS, now_ms=T0_MS).items == []


async def test_features_that_cannot_be_read_stop_the_scores_of_no_other_user() -> None:
    world, ranker = World(), Ranked()

    def current(_: int, user_id: str) -> Features:
        if user_id == "unreadable":
            raise ValueError("not a state")
        return features(user_id=user_id, version=7 if user_id == "good" else 0)

    agent = CombineAgent(world.context, current, LlmScoreCache(LLM_BLEND_PARAMS), cast(Any, ranker))
    scores = [llm_scores({"i1": 0.9}, user_id=user) for user in ("unreadable", "good", "unknown")]
    await agent.process(an_event(world.app, LLM_SCORES, *scores))
    await agent.checkpoint.force()
    assert letters(world.broker) == {("combine.features", "agent_error", b"unreadable"): 1}
    assert ranker.users == ["good"]
    assert world.app.ledger.committable((LLM_SCORES.name, 0)) == 100
    await world.publisher.close()


@pytest.mark.parametrize("table", ["users", "items"])
async def test_a_stored_state_that_cannot_be_read_sets_its_events_aside(table: str) -> None:
    broker, codec = Broker(), Codecs().codec(Interaction)
    for number in range(8):
        broker.append(f"{table}-changelog", number, b"u0" if table == "users" else b"i0", b"\x01\xc1 no state")
    for number in range(12):
        event = an_interaction(user_id=f"u{number % 3}", item_id=f"i{number % 3}")
        key = event.user_id.encode()
        broker.append(INTERACTIONS.name, partition_of(key, PARTITIONS), key, codec.encode(event))
    worker = Worker(broker)
    for reader in worker.readers:  # what the first one sends on is there for the second
        while await reader.read():
            pass
        await reader.agent.checkpoint.force()
        reader.commit()
    await worker.publisher.flush()
    stages = {stage for stage, _, _ in letters(broker)}
    assert stages == {"user.fold" if table == "users" else "signal.fold"}
    assert len(Table(broker, table)) == 3
    await worker.publisher.close()
