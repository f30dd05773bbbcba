"""Inbox agent: devices, notifications → the push store, from which the API reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from infra.redis.stores.push_store import PushStore
from streams.runtime.dead_letter_queue import Record
from streams.runtime.faust_role import RoleContext
from streams.runtime.refill.store_refill import Projector, RefillEntry, rewrite
from streams.transport import Batch
from topics.topic import DEVICES, NOTIFICATIONS

INPUT_TOPICS = (DEVICES, NOTIFICATIONS)


class InboxAgent:
    """Keeps the push store equal to its topics; writes are idempotent."""

    def __init__(self, context: RoleContext, store: PushStore) -> None:
        self._dead_letters = context.dead_letters
        self._decoders = {topic.name: context.decoder(topic, "inbox") for topic in INPUT_TOPICS}
        self._store = store
        self._devices = Projector(self._write_devices)
        self.refill_devices = self._devices.refill
        """Writes the devices of all users again, from the beginning of their topic."""
        self._writes = {DEVICES.name: self._put_devices, NOTIFICATIONS.name: self._add_notifications}
        self.checkpoint = context.checkpoint()

    async def process(self, event: Any) -> None:
        """Store one batch."""
        batch: Batch = event.value
        usable = await self._decoders[batch.topic].decode(batch)
        writes = self._writes[batch.topic]
        await self._dead_letters.write(
            usable, writes, stage="inbox.write", log_message=f"{batch.topic} wait for the store"
        )
        self.checkpoint.add([event])

    async def refill_notifications(self, chunks: AsyncIterator[Sequence[RefillEntry]]) -> None:
        """Add notification decisions again; a decision that is stored already is not added twice."""
        async for chunk in chunks:
            await rewrite([value for _, value in chunk if value is not None], self._store.add_notifications)

    def drop(self) -> None:
        """Discard the unacknowledged events: they are read again after a rebalance."""
        self.checkpoint.drop()

    async def _add_notifications(self, usable: Sequence[tuple[Record, Any]]) -> None:
        await self._store.add_notifications([value for _, value in usable])

    async def _put_devices(self, usable: Sequence[tuple[Record, Any]]) -> None:
        await self._devices.put({record.key or b"": value for record, value in usable})

    async def _write_devices(self, newest: Mapping[bytes, Any]) -> None:
        await self._store.write_devices([devices for devices in newest.values() if devices is not None])
