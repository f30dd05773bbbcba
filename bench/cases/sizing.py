"""Sizing: memory of users' states and links after a stream, against the formulas of docs/sizing.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache

import msgspec

from bench.cases.footprint import mean_object_bytes
from bench.load import EventLoad
from bench.rig import OnBenchProgress
from bench.sizes import size_of
from infra.kafka.partition import partition_of
from infra.settings import Settings
from models.vocabulary import Vocabulary
from streams.core.item.link_events import EVENTS, LinkEvent, link_event, link_updates
from streams.core.item.link_rows import LinkRows
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import ItemLabels
from streams.core.user import user_state
from streams.core.user.user_state import UserState
from streams.runtime.core_params import user_params
from topics.topic import PARTITIONS

_TELL_EVERY = 1_000


def measure(load: EventLoad, settings: Settings, *, on_progress: OnBenchProgress) -> dict[str, float]:
    """Return bytes as measured and by the formulas."""
    users, rows = _learn(load, settings, on_progress=on_progress)
    stream = size_of(
        users,
        [item.item_id for item in load.items],
        links=sum(one.link_count for one in rows),
    )
    return {
        **dataclasses.asdict(stream),
        "user_bytes": sum(map(len, users)) / len(users),
        "user_bytes_formula": stream.user_bytes,
        "object_bytes": mean_object_bytes(users, UserState),
        "object_bytes_formula": stream.object_bytes,
        "links_bytes": sum(one.nbytes for one in rows),
        "links_bytes_formula": stream.links_bytes,
    }


def _learn(load: EventLoad, settings: Settings, *, on_progress: OnBenchProgress) -> tuple[list[bytes], list[LinkRows]]:
    """Return the encoded states of users, and the rows of all partitions, after a load's history."""
    items, params = Vocabulary(), user_params(settings)
    rows = [LinkRows(items, half_life_days=settings.cooccurrence_half_life_days) for _ in range(PARTITIONS)]
    labels = {item.item_id: ItemLabels.of(item) for item in load.items}
    states: dict[str, UserState] = {}
    events = []
    for number, event in enumerate(load.history()):
        if number % _TELL_EVERY == 0:
            on_progress("learn in this process", number, load.size.events)
        state = states.setdefault(event.user_id, UserState(event.user_id))
        position = Position(0, number, event.occurred_at)
        if (links := link_event(state, event, position, params)) is not None:
            events.append(links)
        user_state.fold(state, event, position, subject=labels[str(event.item_id)], params=params)
        if len(events) == EVENTS:
            _apply(rows, events)
            events.clear()
    _apply(rows, events)
    return [*map(msgspec.msgpack.Encoder().encode, states.values())], rows


def _apply(rows: Sequence[LinkRows], events: Sequence[LinkEvent]) -> None:
    for updates in link_updates(events, _partition_of):
        partition = rows[_partition_of(updates.item_id)]
        partition.apply(partition.next_offset, updates)


@cache
def _partition_of(item_id: str) -> int:
    return partition_of(item_id.encode(), PARTITIONS)
