"""A flood through the agents that fold it: the user and the item are named, and what counts for nothing is counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from infra.kafka.partition import partition_of
from infra.redis import event_rates
from infra.redis.event_rates import EventRate
from streams.agents.signal import SignalAgent
from streams.agents.user import UserAgent
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import ItemLabels
from streams.core.user import user_state
from streams.core.user.user_state import UserState
from tests.broker import Broker, Codecs, Worker
from tests.build import T0_MS, an_interaction
from tests.params import USER_PARAMS
from topics.topic import INTERACTIONS, PARTITIONS

CLICKS, OTHERS = 300, 20


def flooded(action: str = "click", *, one_event: bool = False) -> Broker:
    """Return a log in which one user floods one item, among others who do little."""
    broker, codec = Broker(), Codecs().codec(INTERACTIONS.record)
    events = [
        an_interaction(event_id="e" if one_event else f"e{n}", user_id="bot", item_id="target", action=action)
        for n in range(CLICKS)
    ]
    events += [an_interaction(user_id=f"u{n}", item_id=f"i{n}", event_id=f"o{n}") for n in range(OTHERS)]
    for event in events:
        key = event.user_id.encode()
        broker.append(INTERACTIONS.name, partition_of(key, PARTITIONS), key, codec.encode(event))
    return broker


async def played(broker: Broker) -> tuple[Worker, UserAgent, SignalAgent]:
    worker = Worker(broker)
    users, items = (reader.agent for reader in worker.readers)
    for reader in worker.readers:
        while await reader.read():
            pass
        await reader.agent.checkpoint.force()
    return worker, users, items


@pytest.mark.parametrize("action", ["click", "view", "like", "dislike", "skip", "purchase"])
async def test_a_flood_names_its_user_and_its_item(action: str) -> None:
    worker, users, items = await played(flooded(action))
    assert users.rates.highest(1) == [("bot", CLICKS)]
    assert items.rates.highest(1) == [("target", CLICKS)]
    assert len(users.rates) == len(items.rates) == 1 + OTHERS
    await worker.publisher.close()


async def test_repeats_of_one_event_are_a_flood_of_the_user_and_nothing_to_the_item() -> None:
    worker, users, items = await played(flooded(one_event=True))
    assert users.rates.highest(1) == [("bot", CLICKS)]
    assert dict(items.rates.highest(1 + OTHERS))["target"] == 1.0
    await worker.publisher.close()


async def test_a_rebalance_forgets_the_rates_of_partitions_that_may_be_elsewhere_by_now() -> None:
    worker, users, items = await played(flooded())
    for reader in worker.readers:
        reader.start()
    assert users.rates.highest(1) == items.rates.highest(1) == []
    await worker.publisher.close()


async def test_events_beyond_the_daily_limits_of_a_user_are_counted() -> None:
    worker, users, _ = await played(flooded())
    assert users.limit_counts == {"same_item": CLICKS - 1}
    await worker.publisher.close()


LIMITS: dict[str, tuple[list[tuple[str, str]], list[str]]] = {
    "a usual day": ([("view", "i1"), ("click", "i1"), ("like", "i2"), ("skip", "i3")], ["", "", "", ""]),
    "the same action again": ([("click", "i1"), ("click", "i1")], ["", "same_item"]),
    "a weaker action": ([("like", "i1"), ("view", "i1")], ["", "same_item"]),
    "a stronger action": ([("click", "i1"), ("like", "i1")], ["", ""]),
    "a stronger action after many": ([("view", "i1")] * 3 + [("like", "i1")], ["", *["same_item"] * 3]),
    "dislikes": ([("dislike", "i1")] * 4, ["", *["same_item"] * 3]),
    "a dislike after a like": ([("like", "i1"), ("dislike", "i1"), ("hide", "i1")], ["", "", ""]),
    "an action without weight": ([("unknown", "i1"), ("unknown", "i1")], ["", ""]),
    "more events than a day has": ([("click", f"i{n}") for n in range(202)], [""] * 200 + ["events_per_day"] * 2),
    "more items than a day has": ([("click", f"i{n}") for n in range(4)], ["", "", "", "items_per_day"]),
    "dislikes of more items": ([("dislike", f"i{n}") for n in range(4)], ["", "", "", "items_per_day"]),
}


@pytest.mark.parametrize("case", LIMITS)
def test_the_limit_that_takes_the_weight_of_an_event_is_named(case: str) -> None:
    acts, expected = LIMITS[case]
    state, limits = UserState("u1"), []
    params = replace(USER_PARAMS, day_items=3 if "more items" in case or "of more" in case else 1_000)
    for number, (action, item_id) in enumerate(acts):
        event = an_interaction(event_id=str(number), item_id=item_id, action=action, occurred_at=T0_MS)
        signal = user_state.fold(state, event, Position(0, number, T0_MS + number), subject=ItemLabels(), params=params)
        assert signal is not None
        limits.append(signal.limit)
    assert limits == expected[: len(acts)]


def test_the_rates_of_all_processes_are_one_list_and_older_processes_have_none() -> None:
    heartbeats: list[dict[str, Any]] = [
        {"role": "feed", event_rates.KEY: {"users": [["ann", 3.0], ["bob", 2.0]], "items": []}},
        {"role": "feed", event_rates.KEY: {"users": [["bot", 600.0]], "items": [["i1", 601.5]]}},
        {"role": "feed"},
        {"role": "trainer", "waiting": 0},
    ]
    rates = event_rates.merged(heartbeats)
    assert rates.users == [EventRate("bot", 600.0), EventRate("ann", 3.0), EventRate("bob", 2.0)]
    assert rates.items == [EventRate("i1", 601.5)]


def test_no_more_names_are_listed_than_an_operator_can_read() -> None:
    entries = [[f"u{n}", float(n)] for n in range(1, event_rates.LISTED + 1)]
    heartbeats = [{event_rates.KEY: {"users": entries, "items": cast(Any, [])}} for _ in range(5)]
    heartbeats.append({event_rates.KEY: {"users": [["bot", 600.0]], "items": []}})
    rates = event_rates.merged(heartbeats)
    assert len(rates.users) == event_rates.LISTED
    assert rates.users[0].id == "bot"
