from __future__ import annotations

from schemas.types import Interaction
from streams.core.position import Position
from streams.runtime.topic_history import merged
from tests.build import T0_MS, an_interaction


def test_partitions_are_merged_by_time_and_each_keeps_its_order() -> None:
    def at(partition: int, offset: int, minute: int, event_id: str) -> tuple[Position, Interaction]:
        return Position(partition, offset, 1), an_interaction(event_id=event_id, occurred_at=T0_MS + 60_000 * minute)

    one = [at(0, 0, 1, "z"), at(0, 1, 1, "a"), at(0, 2, 0, "late"), at(0, 3, 5, "c")]
    other = [at(1, 0, 1, "b"), at(1, 1, 4, "d")]
    assert [event.event_id for _, event in merged([one, other])] == ["b", "z", "a", "late", "d", "c"]
