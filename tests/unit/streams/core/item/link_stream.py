"""A stream of interactions through users' states and link updates into the rows of all partitions, with crashes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from infra.kafka.partition import partition_of
from models.neighbours.cooccurrence import DecayedCooccurrence, timestamp_groups_back
from models.vocabulary import Vocabulary
from schemas.types import Interaction, ItemNeighbors, LinkUpdates
from streams.core.item.link_events import LinkEvent, link_event, link_updates
from streams.core.item.link_rows import LinkRows, Positions
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import ItemLabels
from streams.core.user import user_state
from streams.core.user.user_state import UserState
from tests.params import USER_PARAMS
from topics.topic import PARTITIONS

HALF_LIFE_DAYS = 60.0


def item_partition(item_id: str) -> int:
    return partition_of(item_id.encode(), PARTITIONS)


def fold(events: Sequence[Interaction], positions: Sequence[Position] | None = None) -> list[LinkEvent]:
    """Return the link events of interactions, as the users' states make them."""
    states: dict[str, UserState] = {}
    folded_events = []
    for number, event in enumerate(events):
        state = states.setdefault(event.user_id, UserState(event.user_id))
        position = positions[number] if positions else Position(0, number, 1_000 + number)
        one = link_event(state, event, position, USER_PARAMS)
        if user_state.fold(state, event, position, subject=ItemLabels(), params=USER_PARAMS) is not None:
            assert one is not None
            folded_events.append(one)
    return folded_events


def learned(events: Sequence[LinkEvent]) -> tuple[Vocabulary, DecayedCooccurrence]:
    """Return the rows that one table learns from all events."""
    items, table = Vocabulary(), DecayedCooccurrence(half_life_days=HALF_LIFE_DAYS)
    for event in events:
        item = items.add(event.item_id)
        window = np.array([items.add(name) for name, _, _ in event.window], np.int32)
        groups_back = timestamp_groups_back([at_ms for _, _, at_ms in event.window], event.at_ms)
        table.learn(item, window, groups_back, at_ms=event.at_ms, weight=event.weight)
    return items, table


class Stage:
    """The workers of the links: logs of updates, published rows and commits, which outlive the workers."""

    def __init__(self) -> None:
        self.logs: list[list[LinkUpdates]] = [[] for _ in range(PARTITIONS)]
        self.published_rows: list[dict[str, ItemNeighbors]] = [{} for _ in range(PARTITIONS)]
        self.commits: list[tuple[int, Positions]] = [(0, {}) for _ in range(PARTITIONS)]
        self.rows = [LinkRows(Vocabulary(), half_life_days=HALF_LIFE_DAYS) for _ in range(PARTITIONS)]

    def emit(self, events: Sequence[LinkEvent]) -> None:
        """Append the records of a batch of events to the logs."""
        for record in link_updates(events, item_partition):
            assert len({item_partition(record.item_id)}) == 1
            self.logs[item_partition(record.item_id)].append(record)

    def work(self, partition: int, most_records: int = 1 << 30) -> None:
        """Apply records that wait in a partition."""
        rows, log = self.rows[partition], self.logs[partition]
        for offset in range(rows.next_offset, min(len(log), rows.next_offset + most_records)):
            rows.apply(offset, log[offset])

    def publish(self, partition: int, most_links: int = 1 << 30) -> None:
        """Publish changed rows, and commit."""
        for row in self.rows[partition].rows(most_links):
            self.published_rows[partition][row.item_id] = row
        self.commits[partition] = self.rows[partition].checkpoint()

    def restart(self, partition: int) -> None:
        """Have another worker take over a partition."""
        rows = LinkRows(Vocabulary(), half_life_days=HALF_LIFE_DAYS)
        for row in self.published_rows[partition].values():
            rows.load(row)
        rows.start(*self.commits[partition], end=len(self.logs[partition]))
        self.rows[partition] = rows

    def finish(self) -> dict[str, ItemNeighbors]:
        """Apply and publish the rest; return all published rows."""
        for partition in range(PARTITIONS):
            self.work(partition)
            self.publish(partition)
        return {item_id: row for rows in self.published_rows for item_id, row in rows.items()}
