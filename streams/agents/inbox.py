"""devices, notifications → the push store, from which the API answers."""

from __future__ import annotations

from typing import Any

from infra.push_store import PushStore
from streams.role import RoleContext
from streams.transport import Batch
from topics.topic import DEVICES, NOTIFICATIONS

SOURCES = (DEVICES, NOTIFICATIONS)


class InboxAgent:
    """Keeps the push store equal to its topics; what is read again is stored once."""

    def __init__(self, context: RoleContext, store: PushStore) -> None:
        self._quarantine = context.quarantine
        self._decoders = {topic.name: context.decoder(topic, "inbox") for topic in SOURCES}
        self._writes: dict[str, Any] = {
            DEVICES.name: store.write_devices,
            NOTIFICATIONS.name: store.add_notifications,
        }
        self.checkpoint = context.checkpoint()

    async def process(self, event: Any) -> None:
        """Store one batch."""
        batch: Batch = event.value
        usable = await self._decoders[batch.topic].decode(batch)
        write = self._writes[batch.topic]
        await self._quarantine.write(
            usable,
            lambda some: write([value for _, value in some]),
            stage="inbox.write",
            waits="notifications wait for the store",
        )
        self.checkpoint.hold([event])

    def drop(self) -> None:
        """Forget what is held: after a rebalance it is read again."""
        self.checkpoint.drop()
