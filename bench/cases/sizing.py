"""Sizing: memory and disk of trainer and links after a stream, against the formula; times of snapshots.

The formula is that of docs/sizing.md. The state is saved, and restored by another process, whose memory grows by what
the state takes.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec

from bench.cases.footprint import mean_object_bytes
from bench.load import EventLoad
from bench.rig import OnBenchProgress
from bench.sizes import encoded_users, size_of
from infra.kafka.partition import partition_of
from infra.settings import Settings
from models.vocabulary import Vocabulary
from streams.core.item.link_events import EVENTS, LinkEvent, link_event, link_updates
from streams.core.item.link_rows import LinkRows
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import ItemLabels
from streams.core.user import user_state
from streams.core.user.user_state import UserState
from streams.roles.trainer.learner_params import learner_params
from streams.roles.trainer.online_learner import OnlineLearner, new_learner
from streams.roles.trainer.snapshot_store import SnapshotStore, packed
from streams.runtime.core_params import user_params
from topics.topic import PARTITIONS

SOURCE = "bench"
_TELL_EVERY = 1_000


def measure(load: EventLoad, settings: Settings, *, on_progress: OnBenchProgress) -> dict[str, float]:
    """Return bytes as measured and by the formula, and the seconds of snapshots and of learning everything again."""
    params = learner_params(settings)
    online = OnlineLearner(new_learner(params))
    for item in load.items:
        online.learner.catalog.apply_item(item)
    learning_s = time.process_time()
    for number, event in enumerate(load.history()):
        if number % _TELL_EVERY == 0:
            on_progress("learn in this process", number, load.size.events)
        online.apply(event, Position(0, number, event.occurred_at))
    learning_s = time.process_time() - learning_s
    on_progress("save and restore", 0, 0)
    users = encoded_users(online.learner)
    links = _learn_links(load, settings)
    stream = size_of(online.learner, users, links=sum(rows.link_count for rows in links))
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        pause_s = time.process_time()
        arrays = packed(online.state(), {})
        pause_s, write_s = time.process_time() - pause_s, time.process_time()
        file_bytes = SnapshotStore(Path(folder), params=params, source=SOURCE).put(arrays)
        write_s = time.process_time() - write_s
        report = msgspec.json.decode(
            subprocess.run(  # noqa: S603 - our own module
                [sys.executable, "-m", "bench.restored", folder], check=True, capture_output=True
            ).stdout
        )
    return {
        **dataclasses.asdict(stream),
        "user_bytes": sum(map(len, users)) / len(users),
        "user_bytes_formula": stream.user_bytes,
        "object_bytes": mean_object_bytes(users, UserState),
        "object_bytes_formula": stream.object_bytes,
        "trainer_bytes": report["bytes"],
        "trainer_bytes_formula": stream.trainer_bytes,
        "links_bytes": sum(rows.nbytes for rows in links),
        "links_bytes_formula": stream.links_bytes,
        "snapshot_bytes": file_bytes,
        "snapshot_bytes_formula": stream.snapshot_bytes,
        "learn_s": round(learning_s, 2),
        "pause_s": round(pause_s, 2),
        "write_s": round(write_s, 2),
        "restore_s": report["seconds"],
    }


def _learn_links(load: EventLoad, settings: Settings) -> list[LinkRows]:
    """Return the rows of all partitions after a load's history."""
    items, params = Vocabulary(), user_params(settings)
    rows = [LinkRows(items, half_life_days=settings.cooccurrence_half_life_days) for _ in range(PARTITIONS)]
    states: dict[str, UserState] = {}
    events = []
    for number, event in enumerate(load.history()):
        state = states.setdefault(event.user_id, UserState(event.user_id))
        position = Position(0, number, event.occurred_at)
        if (links := link_event(state, event, position, params)) is not None:
            events.append(links)
        user_state.fold(state, event, position, subject=ItemLabels(), params=params)
        if len(events) == EVENTS:
            _apply(rows, events)
            events.clear()
    _apply(rows, events)
    return rows


def _apply(rows: Sequence[LinkRows], events: Sequence[LinkEvent]) -> None:
    for updates in link_updates(events, _partition_of):
        partition = rows[_partition_of(updates.item_id)]
        partition.apply(partition.next_offset, updates)


@cache
def _partition_of(item_id: str) -> int:
    return partition_of(item_id.encode(), PARTITIONS)
