"""The protocol as-served and the pipeline: both hold the same list for a reader at the moment of each event."""

from __future__ import annotations

import random
import signal
import uuid
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import httpx

from api.app import create_app
from api.context import Clients
from domain.timestamp import DAY_MS, HOUR_MS, MINUTE_MS
from evaluation.contestants.contestant import EvalContext
from evaluation.contestants.served_blend import PacedLearner, ServedBlend
from evaluation.protocols.as_served import ServingDelays
from evaluation.protocols.ranking import K
from evaluation.protocols.replay import replay
from evaluation.protocols.stream import of_dataset
from infra.address import Addresses
from infra.fakes.memory_publisher import MemoryPublisher
from infra.kafka.partition import partition_of
from infra.redis.stores.feed_store import RedisFeedStore
from infra.redis.stores.item_store import RedisItemStore
from infra.settings import Settings
from loaders import Dataset
from schemas.types import Choice, Feed, Interaction, Item
from streams.core.learning.choices import learn_choice
from streams.core.learning.learner import LearnerParams
from tests.build import T0_MS, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import CHOICES, INTERACTIONS, ITEMS, PARTITIONS

CROWD = 9
HOURS = (0.5, 2.0, 30.0, 0.5, 2.0, 60.0, 1.0, 3.0)
"""Hours from one round to the next. Each of two readers comes back after some hours, after a day and after days."""
SETTINGS = {"MODEL_PUBLISH_INTERVAL_S": "0.1", "MODEL_FIT_INTERVAL_S": "0", "MODEL_FULL_FIT_INTERVAL_S": "0"}
DELAYS = ServingDelays(weights_ms=1, fit_ms=0)
"""Each round waits until everything learned is published, so that no weights are older than the last event."""
CATALOGUE = [
    an_item(f"i{n}", category=f"c{n % 5}", topics=[f"t{n % 7}"], created_at=T0_MS - HOUR_MS) for n in range(40)
]
NAMES = [name for n in range(1_000) if partition_of((name := f"u{n}").encode(), PARTITIONS) == 0][:11]
"""Users of one partition: their events are learned in the order of the stream."""
READERS = NAMES[:2]


def rounds_of_clicks() -> list[tuple[list[Interaction], Interaction]]:
    """Return rounds: clicks of many users within a minute, some in the same second; later the click of one reader."""
    draw = random.Random(0)
    choices = {user: [item.item_id for item in draw.sample(CATALOGUE, len(CATALOGUE))] for user in NAMES}

    def click(user: str, at_ms: int) -> Interaction:
        return an_interaction(event_id=str(uuid.uuid4()), user_id=user, item_id=choices[user].pop(), occurred_at=at_ms)

    rounds, at_ms = [], T0_MS - T0_MS % MINUTE_MS
    for number, hours in enumerate(HOURS):
        at_ms += round(HOUR_MS * hours)
        minute = [
            click(user, at_ms + 7_000 * second)
            for second, user in enumerate(draw.sample(NAMES[len(READERS) :], CROWD))
            for _ in range(draw.randrange(1, 4))
        ]
        rounds.append((minute, click(READERS[number % len(READERS)], at_ms + MINUTE_MS)))
    return rounds


class Clock:
    """The time of the API and of the worker, in ms since the epoch."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline, self.now_ms = pipeline, 0
        self.set(T0_MS)

    def set(self, now_ms: int) -> None:
        """Set the time."""
        self.now_ms = now_ms
        self._pipeline.set_clock(now_ms)


async def test_a_client_reads_the_lists_that_the_evaluation_judges(stack: Addresses, tmp_path: Path) -> None:
    rounds = rounds_of_clicks()
    events = [event for crowd, own in rounds for event in (*crowd, own)]
    items = [item for item in CATALOGUE if any(event.item_id == item.item_id for event in events)]
    async with a_pipeline(stack, tmp_path) as pipeline:
        clock, store = Clock(pipeline), RedisFeedStore(pipeline.redis)
        await pipeline.start_module("tests.pipeline.clock_worker")
        trainer = await pipeline.start("trainer,links", **SETTINGS)
        await pipeline.publish(ITEMS, items)
        await pipeline.settle()

        async def stored(user: str) -> Feed | None:
            [feed] = await store.read([user])
            return feed

        async def is_ranked(user: str, version: int, watermark: int) -> bool:
            feed = await stored(user)
            return feed is not None and feed.watermark == watermark and feed.features_version > version

        async def wait_away(until_ms: int) -> None:
            """Let the time pass, and wait for the rankings of absent readers, which the worker asks for itself."""
            feeds = [feed for user in READERS if (feed := await stored(user)) is not None]
            days = range(1, 1 + round(max(HOURS) / 24))
            due = sorted((feed.watermark + day * DAY_MS, feed.user_id) for feed in feeds for day in days)
            for due_ms, user in due:
                if clock.now_ms < due_ms <= until_ms:
                    feed = await stored(user)
                    assert feed is not None
                    clock.set(due_ms)
                    await until(partial(is_ranked, user, feed.features_version, feed.watermark), what="a ranking again")
            clock.set(until_ms)

        read: dict[str, list[str]] = {}
        first_orders: dict[str, list[str]] = {}
        clients = Clients(
            publisher=MemoryPublisher(), feeds=store, items=RedisItemStore(pipeline.redis), now_ms=lambda: clock.now_ms
        )
        app = create_app(Settings(), clients)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as http,
        ):
            for crowd, own in rounds:
                await wait_away(crowd[0].occurred_at)
                await pipeline.publish(INTERACTIONS, crowd)
                await pipeline.settle()
                clock.set(own.occurred_at)
                answer = await http.get("/content", params={"user_id": own.user_id})
                read[own.event_id] = [item["item_id"] for item in answer.json()["items"]]
                feed = await stored(own.user_id)
                first_orders[own.event_id] = feed.items if feed is not None else []
                # What is learned is published once a second, and a feed takes a tenth of that: it is made before.
                trainer.send_signal(signal.SIGSTOP)
                await pipeline.publish(INTERACTIONS, [own])
                await until(partial(is_ranked, own.user_id, 0, own.occurred_at), what="the reader's feed")
                trainer.send_signal(signal.SIGCONT)
                await pipeline.settle()  # rankings of absent readers are made by what was learned from it
        choices = {choice.event_id: choice for choice in await pipeline.read(CHOICES)}
    assert len(choices) > len(events) // 2, "most clicks are choices from a feed"
    lists = lists_of(events, items, choices)
    unlike = {
        event_id: (names[: K + 2], lists[event_id]) for event_id, names in read.items() if lists[event_id] != names[:K]
    }
    assert not unlike
    assert len({tuple(names[:K]) for names in read.values()}) > len(HOURS) // 2, "lists differ among readers and times"
    later = [event_id for event_id, names in read.items() if first_orders[event_id] and names != first_orders[event_id]]
    assert later, "some lists are in a later order than the first of the feed"


class SameChoices(PacedLearner):
    """A learner from the choices that the pipeline has recorded: it folds events in batches, which no replay knows."""

    def __init__(self, params: LearnerParams, choices: Mapping[str, Choice]) -> None:
        super().__init__(params, DELAYS)
        self._choices = choices

    def learn_choice_from(self, event: Interaction, *, is_liked: bool) -> None:
        choice = self._choices.get(event.event_id)
        if choice is not None:
            learn_choice(self.weights, choice)


class SameServedBlend(ServedBlend):
    def __init__(self, context: EvalContext, choices: Mapping[str, Choice]) -> None:
        self._choices = choices
        super().__init__(context)

    def _new_learner(self, params: LearnerParams) -> PacedLearner:
        return SameChoices(params, self._choices)


def lists_of(events: list[Interaction], items: list[Item], choices: Mapping[str, Choice]) -> dict[str, list[str]]:
    """Return the first items that the protocol ranks each event by."""
    choice_by_number = {str(n): choices[one.event_id] for n, one in enumerate(events, 1) if one.event_id in choices}
    blend = SameServedBlend(EvalContext(catalogue=items, seed=0, delays=DELAYS), choice_by_number)
    for item in items:
        blend.learner.catalog.apply_item(item)
    stream = of_dataset(Dataset(name="a day", items=items, profiles=[], interactions=events), repeats=False)
    outcome = replay(blend, stream, "as-served", split="all", delays=DELAYS)
    return {
        events[index].event_id: [stream.items[item] for item in outcome.top[row].tolist()]
        for index, row in zip(outcome.event_index.tolist(), outcome.list_index.tolist(), strict=True)
    }
