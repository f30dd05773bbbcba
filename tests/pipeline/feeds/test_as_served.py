"""The protocol as-served and the pipeline: both hold the same list for a reader at the moment of each event."""

from __future__ import annotations

import random
import signal
import uuid
from functools import partial
from pathlib import Path

from domain.timestamp import HOUR_MS, MINUTE_MS
from evaluation.contestants.contestant import EvalContext
from evaluation.contestants.served_blend import ServedBlend
from evaluation.protocols.as_served import ServingDelays
from evaluation.protocols.ranking import K
from evaluation.protocols.replay import replay
from evaluation.protocols.stream import of_dataset
from infra.address import Addresses
from infra.kafka.partition import partition_of
from infra.redis.stores.feed_store import DEFAULT_FEED, RedisFeedStore
from loaders import Dataset
from schemas.types import Feed, Interaction, Item
from tests.build import T0_MS, an_interaction, an_item
from tests.pipeline.pipeline import a_pipeline, until
from topics.topic import INTERACTIONS, ITEMS, PARTITIONS

ROUNDS, CROWD, READERS = 9, 6, 3
SETTINGS = {"MODEL_PUBLISH_INTERVAL_S": "0.1", "MODEL_FIT_INTERVAL_S": "0", "MODEL_FULL_FIT_INTERVAL_S": "0"}
DELAYS = ServingDelays(weights_ms=1, fit_ms=0)
"""Each round waits until everything learned is published, so that no weights are older than the last event."""
CATALOGUE = [
    an_item(f"i{n}", category=f"c{n % 5}", topics=[f"t{n % 7}"], created_at=T0_MS - HOUR_MS) for n in range(40)
]
NAMES = [name for n in range(1_000) if partition_of((name := f"u{n}").encode(), PARTITIONS) == 0][:12]
"""Users of one partition: the trainer learns their events in the order of the stream."""


def a_day() -> list[tuple[list[Interaction], Interaction]]:
    """Return rounds: clicks of many users within a minute, some in the same second; later the click of one reader."""
    draw = random.Random(0)
    choices = {user: [item.item_id for item in draw.sample(CATALOGUE, len(CATALOGUE))] for user in NAMES}

    def click(user: str, at_ms: int) -> Interaction:
        return an_interaction(event_id=str(uuid.uuid4()), user_id=user, item_id=choices[user].pop(), occurred_at=at_ms)

    rounds, at_ms = [], T0_MS
    for number in range(ROUNDS):
        at_ms += draw.choice([HOUR_MS // 2, 2 * HOUR_MS, 30 * HOUR_MS])
        minute = [
            click(user, at_ms + 7_000 * second)
            for second, user in enumerate(draw.sample(NAMES[READERS:], CROWD))
            for _ in range(draw.randrange(1, 4))
        ]
        rounds.append((minute, click(NAMES[number % READERS], at_ms + MINUTE_MS)))
    return rounds


async def test_a_client_reads_the_lists_that_the_evaluation_judges(stack: Addresses, tmp_path: Path) -> None:
    rounds = a_day()
    events = [event for crowd, own in rounds for event in (*crowd, own)]
    items = [item for item in CATALOGUE if any(event.item_id == item.item_id for event in events)]
    async with a_pipeline(stack, tmp_path) as pipeline:
        await pipeline.start("feed")
        trainer = await pipeline.start("trainer", **SETTINGS)
        await pipeline.publish(ITEMS, items)
        await pipeline.settle()
        store = RedisFeedStore(pipeline.redis)

        async def shown_to(user: str) -> Feed:
            """Return the feed that the API would show."""
            own, default = await store.read((user, DEFAULT_FEED))
            assert default is not None
            return own or default

        async def is_ranked(event: Interaction) -> bool:
            return (await shown_to(event.user_id)).watermark == event.occurred_at

        read: dict[str, Feed] = {}
        for crowd, own in rounds:
            await pipeline.publish(INTERACTIONS, crowd)
            await pipeline.settle()
            read[own.event_id] = await shown_to(own.user_id)
            # The trainer publishes once a second, and a feed takes a tenth of that: it is made before that is learned.
            trainer.send_signal(signal.SIGSTOP)
            await pipeline.publish(INTERACTIONS, [own])
            await until(partial(is_ranked, own), what="the reader's feed")
            trainer.send_signal(signal.SIGCONT)
    lists = lists_of(events, items)
    unlike = {
        event_id: (list(zip(feed.items, feed.scores, strict=True))[: K + 2], lists[event_id])
        for event_id, feed in read.items()
        if lists[event_id] != feed.items[:K]
    }
    assert not unlike
    assert len({tuple(feed.items[:K]) for feed in read.values()}) > ROUNDS // 2, "lists differ among readers and times"


def lists_of(events: list[Interaction], items: list[Item]) -> dict[str, list[str]]:
    """Return the first items that the protocol ranks each event by."""
    blend = ServedBlend(EvalContext(catalogue=items, seed=0, delays=DELAYS))
    for item in items:
        blend.learner.catalog.apply_item(item)
    stream = of_dataset(Dataset(name="a day", items=items, profiles=[], interactions=events), repeats=False)
    outcome = replay(blend, stream, "as-served", split="all", delays=DELAYS)
    return {
        events[index].event_id: [stream.items[item] for item in outcome.top[row].tolist()]
        for index, row in zip(outcome.event_index.tolist(), outcome.list_index.tolist(), strict=True)
    }
