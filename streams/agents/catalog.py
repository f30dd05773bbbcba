"""Catalog agent: items → the item store, from which the API reads the items of a feed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from infra.redis.stores.item_store import ItemStore
from schemas.types import Item
from streams.agents.agent_context import AgentContext
from streams.runtime.dead_letter_queue import Record
from streams.runtime.refill.store_refill import Projector
from streams.transport import Batch
from topics.topic import ITEMS

INPUT_TOPICS = (ITEMS,)
ItemChange = tuple[Record, Item | None]
"""A record, and the item it holds; None for a deletion."""


class CatalogAgent:
    """Keeps the item store equal to the items topic; a null value deletes an item."""

    def __init__(self, context: AgentContext, store: ItemStore) -> None:
        self._store, self._dead_letters = store, context.dead_letters
        self._decoder = context.decoder(ITEMS, "catalog")
        self._items = Projector(self._write)
        self.refill = self._items.refill
        """Writes the whole catalogue to the store again."""
        self.checkpoint = context.checkpoint()

    async def process(self, event: Any) -> None:
        """Store one batch; for each item the last record wins."""
        batch: Batch = event.value
        usable = await self._decoder.decode(record for record in batch if record.value is not None or not record.key)
        newest: dict[str, ItemChange] = {item.item_id: (record, item) for record, item in usable}
        for record in batch:
            if record.value is None and record.key:
                item_id = record.key.decode(errors="replace")
                if item_id not in newest or newest[item_id][0].offset < record.offset:
                    newest[item_id] = record, None
        changes = list(newest.values())
        await self._dead_letters.write(
            changes, self._put, stage="catalog.write", log_message="items wait for the store"
        )
        self.checkpoint.add([event])

    def drop(self) -> None:
        """Discard the unacknowledged events: they are read again after a rebalance."""
        self.checkpoint.drop()

    async def _put(self, changes: Sequence[ItemChange]) -> None:
        await self._items.put({record.key or b"": item for record, item in changes})

    async def _write(self, newest: Mapping[bytes, Any]) -> None:
        await self._store.write([item for item in newest.values() if item is not None])
        await self._store.delete([key.decode(errors="replace") for key, item in newest.items() if item is None])
