"""When a checkpoint is due: by time, later while work waits, and before so much is held that reading would stop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from infra.settings import Settings
from streams.runtime.faust_role import batch_limits
from streams.runtime.state.checkpoint import Checkpoint
from streams.transport import Limits

INTERVAL_S = 2.0
LIMITS = replace(batch_limits(Settings()), max_processed_records=100)


@dataclass
class DeliveredBatch:
    records: int
    is_processed: bool = False


@dataclass
class Message:
    tp: tuple[str, int]
    in_flight_batch: DeliveredBatch
    partition: int = 0


@dataclass
class Event:
    message: Message
    is_acked: bool = False

    def ack(self) -> None:
        self.is_acked = True


@dataclass
class App:
    limits: Limits = LIMITS
    events: list[Event] = field(default_factory=list)

    def process(self, event: Event) -> None:
        event.message.in_flight_batch.is_processed = True

    def processed_share(self, tp: Any) -> float:
        batches = [
            event.message.in_flight_batch for event in self.events if event.message.tp == tp and not event.is_acked
        ]
        return sum(batch.records for batch in batches if batch.is_processed) / self.limits.max_processed_records

    def is_live(self, event: Any) -> bool:
        return True


class Publisher:
    async def flush(self) -> None:
        await asyncio.sleep(0)


def a_checkpoint(*events: Event, behind: bool) -> Any:
    app = App(events=list(events))
    checkpoint = Checkpoint(app, Publisher(), interval_s=INTERVAL_S)  # type: ignore[arg-type]
    checkpoint.add(events)
    checkpoint.behind = behind
    return checkpoint


def an_event(records: int, *, partition: int = 0) -> Event:
    return Event(Message(("t", partition), DeliveredBatch(records), partition))


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_it_is_due_after_its_interval_and_later_while_work_waits() -> None:
    assert not a_checkpoint(behind=False).is_due(now_s() + 1_000.0), "nothing is held"
    caught_up, behind = (a_checkpoint(an_event(1), behind=value) for value in (False, True))
    for checkpoint, after in ((caught_up, 1), (behind, 10)):
        assert not checkpoint.is_due(now_s() + (after - 0.5) * INTERVAL_S)
        assert checkpoint.is_due(now_s() + after * INTERVAL_S)


@pytest.mark.parametrize(
    ("events", "due"),
    [
        ([an_event(30), an_event(20)], True),
        ([an_event(30), an_event(19)], False),
        ([an_event(30), an_event(30, partition=1)], False),
    ],
    ids=["half the records", "less", "half in two partitions"],
)
async def test_while_work_waits_it_is_put_off_but_not_until_reading_would_stop(events: list[Event], due: bool) -> None:
    assert a_checkpoint(*events, behind=True).is_due(now_s() + INTERVAL_S) == due


async def test_what_was_acknowledged_counts_no_more() -> None:
    checkpoint = a_checkpoint(event := an_event(60), behind=True)
    await checkpoint.force()
    assert event.is_acked
    checkpoint.add([an_event(40)])
    assert not checkpoint.is_due(now_s() + INTERVAL_S)


async def test_a_pending_event_is_acknowledged_by_the_first_checkpoint_after_its_release() -> None:
    pending, complete = an_event(1), an_event(1)
    checkpoint = a_checkpoint(complete, behind=False)
    checkpoint.add([pending], pending=True)
    for _ in range(2):
        await checkpoint.force()
        assert (complete.is_acked, pending.is_acked) == (True, False)
    assert checkpoint.is_due(now_s() + INTERVAL_S), "a pending event is still held"
    checkpoint.release(pending)
    assert not pending.is_acked
    await checkpoint.force()
    assert pending.is_acked
    checkpoint.release(pending)
    assert not checkpoint.is_due(now_s() + INTERVAL_S), "nothing is held"


async def test_a_pending_event_of_before_a_rebalance_is_never_acknowledged() -> None:
    checkpoint = a_checkpoint(behind=False)
    checkpoint.add([event := an_event(1)], pending=True)
    checkpoint.drop()
    checkpoint.release(event)
    await checkpoint.force()
    assert not event.is_acked
