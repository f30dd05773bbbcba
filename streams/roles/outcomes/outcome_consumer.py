"""Outcome consumer: reads impressions and actions of its partitions of users, and publishes their outcomes.

    poll      records of both topics → the join of their partition; one topic waits while the other lags behind
    advance   the clock of a partition → outcomes that close or have changed → the topic outcomes
              and early outcomes of experiments → the topic early-outcomes
    write     click figures → Redis
    commit    offsets, each with the clock of its partition

Joins are held in memory. A process that takes over a partition reads the events again that may still count, up to the
committed offsets, and goes on from the committed clock. It publishes those outcomes again that were published after the
last commit: the same records under the same ids.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError

from infra import clock
from infra.kafka.admin.provision import consumer_group
from infra.kafka.consumer import group_commits, kafka_consumer, positions, started
from infra.redis.metrics.click_rate_store import ClickRateStore
from infra.redis.metrics.online_metrics_store import INTERVAL_MS
from schemas.limit import FUTURE_MS
from schemas.types import ErasureRequest
from streams.core.outcome.attribution import ShownEntry
from streams.core.outcome.outcome_join import OutcomeJoin
from streams.roles.outcomes.partition_clock import PartitionClock
from streams.roles.outcomes.provenance_lookup import ProvenanceLookup
from streams.runtime.core_params import outcome_params
from streams.runtime.retry import retry_until_available
from streams.runtime.role import Role
from streams.runtime.user_eraser import UserEraser
from topics.topic import EARLY_OUTCOMES, ERASURE_REQUESTS, IMPRESSIONS, INTERACTIONS, OUTCOMES

EVENTS = (IMPRESSIONS, INTERACTIONS)
_MAX_RECORDS = 2_000
_WAIT_MS = 500
_SETTLE_MS = 5_000
"""Time after an impression was appended until its feed is looked up: the archive writes it with a delay."""
_WRITE_S = 2.0
"""Time between two writes of the click figures, in seconds."""
_COMMIT_S = 1.0
"""Time between two commits, in seconds: the clocks change all the time."""
_WAITS = "click rates wait for Redis"
_LOG = logging.getLogger(__name__)


class _Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]
    """Counts the times at which partitions were assigned."""

    def __init__(self) -> None:
        self.count = 0

    def on_partitions_revoked(self, partitions: Any) -> None:
        """Do nothing: the partitions may come back, with what another process has committed meanwhile."""

    def on_partitions_assigned(self, partitions: Any) -> None:
        """Count a rebalance."""
        self.count += 1


class OutcomeConsumer:
    """Joins the events of the partitions that are assigned to this process."""

    def __init__(self, role: Role, lookup: ProvenanceLookup, rates: ClickRateStore, eraser: UserEraser) -> None:
        """Start without partitions.

        Args:
            role: The running role.
            lookup: Finds the feeds behind impressions.
            rates: The store of the click figures.
            eraser: Reports erasures.
        """
        self._role, self._lookup, self._rates, self._eraser = role, lookup, rates, eraser
        self._params = outcome_params(role.settings)
        self._decoders = {topic.name: role.decoder(topic) for topic in (*EVENTS, ERASURE_REQUESTS)}
        self._joins: dict[int, OutcomeJoin] = {}
        self._clocks: dict[int, PartitionClock] = {}
        self._rebalances = _Rebalances()
        self._rebalance_count = 0
        self._commits: dict[TopicPartition, tuple[int, str]] = {}
        self._write_at_s = self._commit_at_s = 0.0
        self._published_count = 0

    async def run(self) -> None:
        """Read until cancelled."""
        consumer = kafka_consumer(
            self._role.settings.kafka_bootstrap_servers,
            group_id=consumer_group(self._role.name),
            auto_offset_reset="earliest",
            partition_assignment_strategy=(RangePartitionAssignor,),  # all topics of a user to one process
        )
        consumer.subscribe([topic.name for topic in (*EVENTS, ERASURE_REQUESTS)], listener=self._rebalances)
        async with started(consumer):
            while True:
                await self._step(consumer)

    def describe(self) -> dict[str, Any]:
        """Return the figures for the heartbeat."""
        joins = self._joins.values()
        return {
            "partitions": len(joins),
            "published": self._published_count,
            "open_events": sum(join.size for join in joins),
            "late": sum(join.late_count for join in joins),
            "refused": sum(join.refused_count for join in joins),
            "closed_early": sum(join.early_count for join in joins),
        }

    async def _step(self, consumer: AIOKafkaConsumer) -> None:
        batches = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_MAX_RECORDS)
        await self._follow_assignment(consumer)
        ends = await positions(consumer)
        for tp, records in batches.items():
            if tp.partition in self._joins:
                await self._take(tp, records)
        for number, partition_clock in self._clocks.items():
            partition_clock.read(batches, consumer, ends)
            await self._publish(self._joins[number], partition_clock.now_ms)
        await self._role.publisher.flush()
        self._pace(consumer)
        await self._write_figures()
        await self._commit(consumer, ends)

    async def _follow_assignment(self, consumer: AIOKafkaConsumer) -> None:
        """Drop the joins of revoked partitions, and restore those of new ones."""
        if self._rebalances.count != self._rebalance_count:
            self._rebalance_count = self._rebalances.count
            self._joins.clear()
            self._clocks.clear()
            self._commits.clear()
        assigned_numbers = {tp.partition for tp in consumer.assignment()}
        for number in self._joins.keys() - assigned_numbers:
            del self._joins[number], self._clocks[number]
        new_numbers = sorted(assigned_numbers - self._joins.keys())
        if not new_numbers:
            return
        await self._restore(new_numbers)
        for number in new_numbers:
            tps = [TopicPartition(topic.name, number) for topic in EVENTS]
            self._clocks[number] = PartitionClock(tps, max_lead_ms=self._params.window_ms)

    async def _restore(self, numbers: Sequence[int]) -> None:
        """Bring the joins of partitions to where they were at the last commit."""
        servers = self._role.settings.kafka_bootstrap_servers
        last_commits = await group_commits(servers, consumer_group(self._role.name))
        clocks_ms: dict[int, int] = {}
        first_ms = clock.now_ms()
        for number in numbers:
            commits = [last_commits.get(TopicPartition(topic.name, number)) for topic in EVENTS]
            texts = ["" if commit is None else commit.metadata for commit in commits]
            self._joins[number] = OutcomeJoin(self._params, interval_ms=INTERVAL_MS)
            if all(text.isdecimal() for text in texts):
                clocks_ms[number] = min(map(int, texts))
                open_ms = clocks_ms[number] - self._params.window_ms - self._params.lateness_ms
                since_ms = max(0, open_ms // INTERVAL_MS * INTERVAL_MS)
                self._joins[number] = OutcomeJoin(self._params, interval_ms=INTERVAL_MS, since_ms=since_ms)
                first_ms = min(first_ms, max(0, since_ms - self._params.window_ms - FUTURE_MS))
        for topic in EVENTS if clocks_ms else ():
            async with self._role.history(topic, since_ms=first_ms, partitions=clocks_ms) as history:
                async for record, value in history.records():
                    tp = TopicPartition(topic.name, record.partition)
                    if value is not None and record.offset < last_commits[tp].offset:
                        _fold(self._joins[record.partition], topic.name, record, value)
        for number, clock_ms in clocks_ms.items():
            join = self._joins[number]
            await self._resolve(join, join.unresolved(clock_ms))
            join.advance(clock_ms)  # these outcomes were published before the commit
            join.take_early()
        _LOG.info(
            "%d partitions were restored with %d events", len(numbers), sum(self._joins[one].size for one in numbers)
        )

    async def _take(self, tp: TopicPartition, records: Sequence[ConsumerRecord]) -> None:
        for record, value in await self._decoders[tp.topic].decode(records):
            if tp.topic == ERASURE_REQUESTS.name:
                await self._erase(tp.partition, value)
            else:
                _fold(self._joins[tp.partition], tp.topic, record, value)

    async def _erase(self, number: int, request: ErasureRequest) -> None:
        if await self._role.erasures.wait_for(request.event_id):
            self._joins[number].forget_user(request.user_id)
            await self._eraser.erase(request, {})

    async def _publish(self, join: OutcomeJoin, clock_ms: int) -> None:
        """Move the clock of a join, and publish the outcomes that close or have changed, and early ones."""
        await self._resolve(join, join.unresolved(clock_ms - _SETTLE_MS))
        entries = join.advance(clock_ms)
        early_entries = join.take_early()
        await self._resolve(
            join, [entry for entry in (*entries, *(one for one, _ in early_entries)) if entry.provenance is None]
        )
        for entry in entries:
            if not self._is_erased(entry):
                self._role.publisher.produce(OUTCOMES, entry.record(self._params.window_ms))
                self._published_count += 1
        for entry, counts in early_entries:
            if entry.provenance is not None and entry.provenance.arms and not self._is_erased(entry):
                self._role.publisher.produce(EARLY_OUTCOMES, entry.early_record(counts))

    def _is_erased(self, entry: ShownEntry) -> bool:
        return self._role.erasures.covers(entry.user_id.encode(), entry.append_ms)

    async def _resolve(self, join: OutcomeJoin, entries: Sequence[ShownEntry]) -> None:
        for entry, provenance in zip(entries, await self._lookup.read(entries), strict=True):
            join.resolve(entry, provenance)

    def _pace(self, consumer: AIOKafkaConsumer) -> None:
        """Let the topics that are ahead of others wait for them."""
        leading = {tp for one in self._clocks.values() for tp in one.leading()} & consumer.assignment()
        consumer.resume(*(consumer.paused() - leading))
        consumer.pause(*leading)

    async def _write_figures(self) -> None:
        if time.monotonic() < self._write_at_s:
            return
        self._write_at_s = time.monotonic() + _WRITE_S
        for number, join in self._joins.items():
            if figures := join.take_figures():
                await retry_until_available(partial(self._rates.write, number, figures), _WAITS)

    async def _commit(self, consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> None:
        """Commit the positions with the clocks, where they have changed."""
        if time.monotonic() < self._commit_at_s:
            return
        self._commit_at_s = time.monotonic() + _COMMIT_S
        current = {
            tp: (offset, str(self._joins[tp.partition].clock_ms))
            for tp, offset in ends.items()
            if tp.partition in self._joins
        }
        new_commits = {tp: commit for tp, commit in current.items() if self._commits.get(tp) != commit}
        if not new_commits:
            return
        try:
            await consumer.commit(new_commits)
        except (CommitFailedError, IllegalStateError) as error:
            _LOG.info("the group has rebalanced; events are read again: %s", error)
            return
        self._commits |= new_commits


def _fold(join: OutcomeJoin, topic: str, record: ConsumerRecord, value: Any) -> None:
    if topic == IMPRESSIONS.name:
        join.show(value, record.timestamp)
    else:
        join.act(value, record.timestamp)
