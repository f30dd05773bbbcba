"""Consumer: Faust's own consumer, extended to read batches.

    Kafka ─fetch▶ cursors ─▶ cut, interleave ─▶ tracker ─▶ Faust's conductor ─▶ agent ─ack▶ tracker ─commit▶ Kafka

A message of a batched topic carries a `Batch`; all other topics (changelogs, replies) stay record by record.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from typing import Any

from aiokafka import ConsumerRecord
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from faust.types.tuples import ack_lock
from mode.services import WaitResults
from mode.utils.futures import notify

from streams.transport.batch import Batch
from streams.transport.batcher import cut, interleave
from streams.transport.client import ClientThread, FetchedBatches
from streams.transport.conf import App, Limits
from streams.transport.cursor import Continuation, Cursors
from streams.transport.ledger import InFlight, OffsetTracker
from streams.transport.message import BatchMessage, batch_message
from streams.transport.restore import restore_table
from streams.transport.topic import BatchSchema

_HELD_POLL_S = 0.1
"""Longest time that a partition below its limit again waits for the fetch of the others."""


class Consumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer over record batches; an `OffsetTracker` determines the offsets to commit."""

    app: App
    _thread: ClientThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits: Limits = self.app.limits
        self._offset_tracker: OffsetTracker[TP] = OffsetTracker()
        self._cursors: Cursors[TP] = Cursors()
        self._is_batched: dict[str, bool] = {}
        self._epoch = self._fetched_in = 0
        self._room = asyncio.Event()
        self._restored_partitions: set[TP] = set()

    def _new_consumer_thread(self) -> ClientThread:
        return ClientThread(self, loop=self.loop, beacon=self.beacon)

    # Reading

    def is_batched(self, topic: str) -> bool:
        """Return whether a topic was declared with `batch_topic`.

        Raises:
            ValueError: the topic was declared both ways.
        """
        if topic not in self._is_batched:
            kinds = {isinstance(channel.schema, BatchSchema) for channel in self.app.topics if topic in channel.topics}
            if len(kinds) > 1:
                raise ValueError(f"{topic}: declared as a batch topic and as another")
            if not kinds:
                return False
            self._is_batched[topic] = kinds.pop()
        return self._is_batched[topic]

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109 - Faust's name
        """Yield messages: a batch, or a record of a topic that is not batched."""
        fetches, _ = await self._wait_next_records(timeout)
        epoch = self._fetched_in
        if not fetches or self.should_stop:
            return
        lanes: dict[TP, Iterator[Message]] = {}
        for tp, fetch in fetches.items():
            if epoch == self._epoch and await self._continues(tp, fetch):
                lanes[tp] = await self._lane(tp, fetch)
        turns = interleave(lanes)
        # Messages not yielded are fetched again: the cursor stays before them.
        while self.flow_active and epoch == self._epoch and (turn := next(turns, None)) is not None:
            yield turn

    async def _lane(self, tp: TP, fetch: FetchedBatches) -> Iterator[Message]:
        if self.is_batched(tp.topic):
            return self._batches(tp, fetch)
        records = fetch.records
        if self._is_changelog_tp(tp) and tp not in self._restored_partitions:
            records = await restore_table(self.app.tables.recovery, tp, fetch, to_message=self._to_message)
            if records:
                # Faust applies these asynchronously; newer records must not overtake them.
                self._restored_partitions.add(tp)
        return self._records(tp, records, fetch.end)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, FetchedBatches]:  # noqa: ASYNC109
        self._fetched_in = self._epoch
        tps = set(active_partitions or ())
        full = {tp for tp in tps if self.app.is_full(tp)}
        if full == tps:
            self._room.clear()
            await self.wait(self._room, timeout=timeout)
            return {}
        due = {tp: self._cursors.position(tp) for tp in tps - full}
        batches: dict[TP, FetchedBatches] = await self._thread.fetch(due, wait_s=_HELD_POLL_S if full else timeout)
        return batches

    async def _continues(self, tp: TP, fetch: FetchedBatches) -> bool:
        continuation = self._cursors.compare(tp, fetch.start)
        if continuation is Continuation.REWIND:
            position = self._cursors.position(tp)
            self.log.info("%s: fetched from %s, back to %s", tp, fetch.start, position)
            await self._thread.seek_back(tp, position or 0)
            return False
        if continuation is Continuation.JUMPED:
            self.log.warning("%s: the broker moved the position from %s", tp, self._cursors.position(tp))
            self._offset_tracker.start(tp)
            self._read_offset[tp] = None
        return True

    def _batches(self, tp: TP, fetch: FetchedBatches) -> Iterator[Message]:
        remaining = len(fetch.records)
        cuts = cut(fetch.records, max_records=self._limits.batch_records, max_bytes=self._limits.batch_bytes)
        for records, size_bytes in cuts:
            remaining -= len(records)
            end = fetch.end if not remaining else records[-1].offset + 1
            batch = Batch(tp.topic, tp.partition, records, max(fetch.stable - end, 0))
            in_flight_batch = self._offset_tracker.deliver(tp, end, records=len(records), size_bytes=size_bytes)
            self._cursors.move(tp, end)
            yield batch_message(tp, batch, in_flight_batch, generation_id=self.app.consumer_generation_id)
        if not fetch.records:
            self._offset_tracker.skip_to(tp, fetch.end)
            self._cursors.move(tp, fetch.end)

    def _records(self, tp: TP, records: Sequence[ConsumerRecord], end: int) -> Iterator[Message]:
        for record in records:
            self._cursors.move(tp, record.offset + 1)
            yield self._to_message(tp, record)
        self._cursors.move(tp, end)

    async def wait_first(self, *awaitables: Any, timeout: float | None = None) -> WaitResults:  # noqa: ASYNC109
        """Wait for the first of several awaitables; a leading coroutine that never blocks is run at once.

        Faust passes each message on by this method, together with the suspension of the flow. It would create tasks for
        both, which costs turns of the event loop for every message. Here all messages of a fetch take one turn.

        Args:
            awaitables: The awaitables.
            timeout: Longest time to wait, in seconds.
        """
        first, *others = awaitables
        if not asyncio.iscoroutine(first):
            return await super().wait_first(*awaitables, timeout=timeout)
        try:
            waits_for = first.send(None)
        except BaseException as error:
            for other in filter(asyncio.iscoroutine, others):
                other.close()
            if isinstance(error, StopIteration):
                return WaitResults([first], [error.value], False)
            raise
        return await super().wait_first(_BlockedCoroutine(first, waits_for), *others, timeout=timeout)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if not self.is_batched(tp.topic):  # the offset tracker covers batches
            await super()._add_gap(tp, offset_from, offset_to)

    # Seeking

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek the partitions of agents to their committed offsets; table recovery seeks the others."""
        self._restart()
        partitions = {tp for tp in self.assignment() if self.app.topics.acks_enabled_for(tp.topic)}
        # Faust does not seek a partition without a commit; after a dropped fetch its position is too far.
        positions = await self._thread.seek_to_commits(partitions)
        self._restart()
        for tp, position in positions.items():
            self._cursors.seek(tp, position)
        return positions

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Seek partitions and wait until it is done."""
        await super().seek_wait(partitions)
        for tp, offset in partitions.items():
            self._start(tp, offset)

    async def seek(self, partition: TP, offset: int) -> None:
        """Seek a partition."""
        await super().seek(partition, offset)
        self._start(partition, offset)

    def _start(self, tp: TP, offset: int) -> None:
        self._restored_partitions.discard(tp)
        self._offset_tracker.start(tp)
        self._cursors.seek(tp, offset)

    def _restart(self) -> None:
        self._epoch += 1
        self._offset_tracker.clear()
        self._cursors.clear()
        self._restored_partitions.clear()
        self._room.set()

    # Acknowledging and committing

    def process(self, message: BatchMessage) -> None:
        """Free the records of a message that is acknowledged later, once every agent that reads it has processed it."""
        with ack_lock:
            if message.process():
                self._offset_tracker.process(message.in_flight_batch)
                message.value.free()
                self._room.set()

    def ack(self, message: Message) -> bool:
        """Acknowledge a message; return False for a repeated acknowledgement or a void message."""
        if not isinstance(message, BatchMessage):
            return bool(super().ack(message))
        with ack_lock:
            # Faust's pure-Python stream acknowledges skipped messages; only messages that reached an agent are tracked.
            if message.acked or not message.tracked:
                return False
            message.acked = True
            self._unacked_messages.discard(message)
            counts = self._offset_tracker.acknowledge(message.in_flight_batch)
            notify(self._waiting_for_ack)
            self._room.set()
            return counts

    def is_live(self, message: Message) -> bool:
        """Return whether a message is valid: its partition has been assigned without a break since it was read."""
        if isinstance(message, BatchMessage):
            return self._offset_tracker.is_live(message.in_flight_batch)
        return bool(message.generation_id == self.app.consumer_generation_id)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        yield from super()._filter_tps_with_pending_acks(topics)
        for tp in self._offset_tracker.pending():
            if topics is None or tp in topics or tp.topic in topics:
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        if not self.is_batched(tp.topic):
            offset: int | None = super()._new_offset(tp)
            return offset
        if self._acked.pop(tp, None):
            raise RuntimeError(f"{tp.topic}: read it with stream.noack().events(), and acknowledge the events")
        return self._offset_tracker.committable(tp)

    def _should_commit(self, tp: TP, offset: int) -> bool:
        return self.is_batched(tp.topic) or bool(super()._should_commit(tp, offset))

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        is_committed = bool(await super()._commit_offsets(offsets, start_new_transaction))
        if is_committed:
            for tp, offset in offsets.items():
                self._offset_tracker.commit(tp, offset)
        return is_committed

    # Rebalancing and stopping

    async def wait_empty(self) -> None:
        """Drain the agents, then commit: partitions are being revoked, or the worker stops."""
        try:
            async with asyncio.timeout(self._limits.drain_s):
                for drain in self.app.drains:
                    await drain()
        except TimeoutError:
            self.log.warning(
                "Agents did not finish within %s s; their records will be read again", self._limits.drain_s
            )
        except Exception as error:
            self.log.exception("An agent could not finish: %r", error)
        await self.maybe_wait_for_commit_to_finish()
        await self.commit()

    async def on_partitions_revoked(self, partitions: set[TP]) -> None:
        """Drain, commit and reset: after a rebalance every partition is sought to its committed offset."""
        await super().on_partitions_revoked(partitions)
        self._restart()

    async def on_stop(self) -> None:
        """Commit; the agents were drained before they were stopped."""
        await self.maybe_wait_for_commit_to_finish()
        await self.commit()
        self.transport._topic_waiters.clear()

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: Faust's checks raise false alarms; monitor consumer lag instead."""

    # Monitoring

    def load(self, tp: TP) -> InFlight:
        """Return the batches of a partition that are in flight."""
        return self._offset_tracker.load(tp)


class _BlockedCoroutine:
    """A coroutine that was started and is blocked, wrapped as an awaitable that resumes it."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> None:
        self._coroutine, self._waits_for = coroutine, waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[Any], Any]
        while True:
            try:
                value, step = (yield self._waits_for), self._coroutine.send
            except BaseException as error:
                value, step = error, self._coroutine.throw
            try:
                self._waits_for = step(value)
            except StopIteration as stop:
                return stop.value
