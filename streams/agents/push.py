"""Push agent: push requests, feeds → notifications, devices, push tokens, messages to FCM. Owns the table `pushes`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Protocol

import msgspec
import uuid_utils

from domain.stock import is_sold_out
from infra.redis.stores.item_store import ItemCache
from schemas.types import ErasureRequest, Feed, Notification, PushRequest
from streams.core.dedup import lru_add
from streams.core.position import Position
from streams.core.push import delivery
from streams.core.push.candidates import PushItem, fold_feed, fold_request, is_newer
from streams.core.push.delay_queue import DelayQueue
from streams.core.push.delivery import Delivery, SendResult
from streams.core.push.push_state import PushState, due_at, expire_excess, registration, snapshot
from streams.core.push.token_owner import OWNER
from streams.core.push.value import top_items
from streams.runtime.arm_params import ExperimentParams
from streams.runtime.dead_letter_queue import Record
from streams.runtime.faust_role import RoleContext
from streams.runtime.retry import retry_until_available
from streams.runtime.state.record_cache import RecordCache
from streams.runtime.user_eraser import UserEraser
from streams.transport import Batch
from topics.topic import DEVICES, ERASURE_REQUESTS, FEEDS, NOTIFICATIONS, PUSH_REQUESTS, PUSH_TOKENS

INPUT_TOPICS = (PUSH_REQUESTS, FEEDS, ERASURE_REQUESTS)
_LOOK_S = 0.5
_LAG_S = 0.25
"""Time by which an item may reach the item store later than the feed that names it."""
_ABSENT = 10_000
_ROWS = 500
"""Rows restored per turn of the event loop."""
_item_decoder = msgspec.json.Decoder(PushItem)


class Sender(Protocol):
    """Sends to one device, once."""

    async def send(self, notification: Notification, token: str, *, ttl_s: int) -> SendResult:
        """Send a notification to the device with this token, and return the result.

        Args:
            notification: The message to send.
            token: The registration token of the device.
            ttl_s: Time in seconds for which FCM may hold the message back.
        """
        ...


class PushAgent:
    """Decides on notifications, sends them in small groups, and stores the results of each group before the next.

    After a crash in between, that group is sent once more with the same ids.

    Args:
        context: The clients of the role.
        table: The table `pushes`: one state per user.
        items: The item store, which tells whether an item exists and is in stock.
        experiments: Thresholds, caps and hold times, by the arms of the user.
        sender: The FCM client; None when FCM is not configured.
        eraser: Erases users from the store.
        now_ms: The clock, in ms since the epoch.
    """

    def __init__(
        self,
        context: RoleContext,
        table: Any,
        items: ItemCache,
        experiments: ExperimentParams,
        *,
        sender: Sender | None,
        eraser: UserEraser,
        now_ms: Callable[[], int],
    ) -> None:
        self._context, self._items, self._experiments = context, items, experiments
        self._sender, self._eraser, self._now_ms = sender, eraser, now_ms
        self._publisher = context.publisher
        self._decoders = {topic.name: context.decoder(topic, "push") for topic in INPUT_TOPICS}
        self._states = RecordCache(table, PushState, context.publisher, new=PushState)
        self._delay_queue = DelayQueue()
        self._rebalances = 0
        self.evictions: Counter[str] = Counter()
        """Entries evicted from full states, by collection."""
        self._absent: dict[str, None] = {}
        """Items known to be absent from the store, so that later batches do not wait for them again."""
        self.checkpoint = context.checkpoint(states=self._states)
        table.on_recover(self._refill_delay_queue)

    @property
    def waiting(self) -> int:
        """Return the number of users with delayed notifications."""
        return len(self._delay_queue)

    async def process(self, event: Any) -> None:
        """Fold one batch, and send the notifications that are due."""
        batch: Batch = event.value
        usable = await self._decoders[batch.topic].decode(self._relevant_records(batch))
        if batch.topic == ERASURE_REQUESTS.name:
            await self._erase(event, await self._context.known_erasures(usable))
            return
        items = await self._top_items(value for _, value in usable)
        async with self.checkpoint.lock:
            if not self._context.app.is_live(event):
                return
            changed_states: dict[str, tuple[PushState, Record]] = {}
            for record, value in usable:
                try:
                    state = self._states.get(batch.partition, value.user_id)
                    changed_states[value.user_id] = state, record
                    self._publish(self._fold(state, value, record, items))
                except Exception as error:
                    self._context.dead_letters.put(record, error, stage="push.fold")
            await self._release(event, changed_states)
            self.checkpoint.add([event])

    async def run(self) -> None:
        """Request the release of due notifications, until cancelled.

        A table can only be written on behalf of an event, so the release goes through the topic of push requests.
        """
        while True:
            now_ms = self._now_ms()
            for user_id in self._delay_queue.take(now_ms):
                request = PushRequest(
                    event_id=str(uuid_utils.uuid7()), user_id=user_id, kind="release", occurred_at=now_ms
                )
                self._publisher.produce(PUSH_REQUESTS, request)
            await asyncio.sleep(_LOOK_S)

    def drop(self) -> None:
        """Discard all state that is not durable: its events are read again after a rebalance."""
        self.checkpoint.drop()
        self._states.drop()
        self._delay_queue.clear()
        self._rebalances += 1

    async def _refill_delay_queue(self) -> None:
        """Refill the delay queue once the table is restored, before any event is read."""
        rows, rebalances = self._states.stored("user_id", "pending"), self._rebalances
        while rebalances == self._rebalances and (some := list(islice(rows, _ROWS))):
            for state in some:
                self._delay_queue.put(state.user_id, due_at(state))
            await asyncio.sleep(0)

    async def _erase(self, event: Any, requests: Sequence[ErasureRequest]) -> None:
        """Erase users: devices, preferences, waiting notifications, and what is in the store."""
        async with self.checkpoint.lock:
            if not self._context.app.is_live(event):
                return
            deleted_counts = [self._delete(event.value.partition, request.user_id) for request in requests]
            for request, deleted_count in zip(requests, deleted_counts, strict=True):
                await self._eraser.erase(request, {"state: pushes": deleted_count})
            self.checkpoint.add([event])

    def _delete(self, partition: int, user_id: str) -> int:
        """Delete the state of an erased user and what was published of it; return the number of deleted states."""
        state = self._states.peek(partition, user_id)
        deleted_count = self._states.delete_older(partition, user_id, self._context.erasures.erased_at(user_id))
        if deleted_count and state is not None:
            self._release_tokens(state.devices, user_id)
            self._delay_queue.put(user_id, None)
            self._publisher.produce_bytes(DEVICES, user_id.encode(), None)
        return deleted_count

    def _release_tokens(self, tokens: Iterable[str], user_id: str) -> None:
        """Have the token agent forget tokens that a user does not own any more."""
        for token in tokens:
            self._publisher.produce_bytes(PUSH_TOKENS, token.encode(), None, headers={OWNER: user_id.encode()})

    def _relevant_records(self, batch: Batch) -> Iterable[Record]:
        """Drop the feeds of users without a device before they are decoded."""
        if batch.topic != FEEDS.name:
            return batch
        pairs = ((record, self._states.peek(batch.partition, _key(record))) for record in batch)
        return [record for record, state in pairs if state is not None and state.devices]

    def _fold(
        self, state: PushState, value: Feed | PushRequest, record: Record, items: Mapping[str, PushItem]
    ) -> list[Notification]:
        now_ms = self._now_ms()
        self._states.touch(record.partition, state.user_id)
        if state.is_new:
            state.since = record.timestamp
        if isinstance(value, Feed):
            if is_newer(state, value):
                state.arms = self._experiments.table.followed(state.arms, value.arms)
            return fold_feed(state, value, items, params=self._experiments.push(state.arms), now_ms=now_ms)
        position = Position.of(record)
        version, tokens = state.version, set(state.devices)
        decisions = fold_request(
            state,
            value,
            position,
            item=items.get(value.item_id or ""),
            params=self._experiments.push(state.arms),
            now_ms=now_ms,
            evictions=self.evictions,
        )
        if state.version != version:
            self._publisher.produce(DEVICES, snapshot(state, now_ms))
            if value.kind == "register":
                self._publisher.produce(PUSH_TOKENS, registration(state, str(value.token)))
            self._release_tokens(tokens - set(state.devices), state.user_id)
        return decisions

    async def _release(self, event: Any, changed_states: Mapping[str, tuple[PushState, Record]]) -> None:
        """Send the due notifications of some users."""
        due: list[tuple[PushState, Delivery]] = []
        now_ms = self._now_ms()
        unavailable = await self._unavailable_items(
            {item for state, _ in changed_states.values() for item in delivery.due_items(state, now_ms)}
        )
        if not self._context.app.is_live(event):
            return
        for state, record in changed_states.values():
            try:
                self._crowd_out(state)
                params = self._experiments.push(state.arms)
                release = delivery.release(state, params=params, now_ms=now_ms, unavailable_items=unavailable)
            except Exception as error:
                self._context.dead_letters.put(record, error, stage="push.release")
                continue
            self._publish(release.decisions)
            due.extend((state, due_delivery) for due_delivery in release.deliveries)
        at_once = self._context.settings.fcm_concurrency
        for start in range(0, len(due), at_once):
            await self._send(event, due[start : start + at_once])
            await self._write(event)
        for user_id, (state, _) in changed_states.items():
            self._crowd_out(state)  # retries wait in the queue with the remaining devices
            self._delay_queue.put(user_id, due_at(state))

    def _crowd_out(self, state: PushState) -> None:
        decisions = list(expire_excess(state, self._now_ms()))
        self.evictions["waiting"] += len(decisions)
        self._publish(decisions)

    async def _send(self, event: Any, due: Sequence[tuple[PushState, Delivery]]) -> None:
        answers = await asyncio.gather(*(self._send_to_devices(due_delivery) for _, due_delivery in due))
        if not self._context.app.is_live(event):  # another worker owns the users now, and sends these once more
            return
        now_ms = self._now_ms()
        for (state, due_delivery), answer in zip(due, answers, strict=True):
            version, tokens = state.version, set(state.devices)
            params = self._experiments.push(state.arms)
            self._publish(delivery.record_delivery(state, due_delivery, answer, params=params, now_ms=now_ms))
            self._states.touch(event.value.partition, state.user_id)
            if state.version != version:
                self._publisher.produce(DEVICES, snapshot(state, now_ms))
                self._release_tokens(tokens - set(state.devices), state.user_id)

    async def _send_to_devices(self, due_delivery: Delivery) -> dict[str, SendResult] | None:
        if self._sender is None:
            return None
        attempts = (
            self._sender.send(due_delivery.notification, token, ttl_s=due_delivery.ttl_s)
            for token in due_delivery.tokens
        )
        return dict(zip(due_delivery.tokens, await asyncio.gather(*attempts), strict=True))

    async def _write(self, event: Any) -> None:
        """Make decisions and states durable before the whole batch is."""
        await self._publisher.flush()
        if self._context.app.is_live(event):
            pending = {event.value.partition: event}
            await self._states.write(self._states.changes(pending), pending)

    def _publish(self, decisions: Iterable[Notification]) -> None:
        for decision in decisions:
            self._publisher.produce(NOTIFICATIONS, decision)

    async def _top_items(self, values: Iterable[Feed | PushRequest]) -> dict[str, PushItem]:
        """Return the catalogue entries of the items that may be pushed; waits once for items that are late."""
        item_ids = dict.fromkeys(item_id for value in values for item_id in _items(value))
        items = await self._read(list(item_ids))
        late = [item_id for item_id in item_ids if item_id not in items and item_id not in self._absent]
        if late:
            await asyncio.sleep(_LAG_S)
            items |= await self._read(late)
        for item_id in late:
            if item_id not in items:
                lru_add(self._absent, item_id, _ABSENT)
        return items

    async def _unavailable_items(self, item_ids: Collection[str]) -> set[str]:
        """Return the subset of items that have left the catalogue or are out of stock."""
        items = await self._read(list(item_ids))
        return {item for item in item_ids if item not in items or is_sold_out(items[item])}

    async def _read(self, item_ids: Sequence[str]) -> dict[str, PushItem]:
        payloads, _ = await retry_until_available(lambda: self._items.read(item_ids), "pushes wait for the store")
        items: dict[str, PushItem] = {}
        for item in payloads:
            with suppress(msgspec.MsgspecError):  # an invalid item counts as absent
                if item is not None:
                    push_item = _item_decoder.decode(item)
                    items[push_item.item_id] = push_item
        return items


def _key(record: Record) -> str:
    return (record.key or b"").decode(errors="replace")


def _items(value: Feed | PushRequest) -> Sequence[str]:
    """Return the ids of the items that may be pushed."""
    if isinstance(value, Feed):
        return [leading.item_id for leading in top_items(value)]
    return [value.item_id] if value.item_id else []
