"""items → the item store, from which the API joins feeds with items."""

from __future__ import annotations

from typing import Any

from infra.item_store import ItemStore
from streams.context import Context
from streams.patience import patiently
from streams.transport import Batch
from topics.topic import ITEMS

SOURCES = (ITEMS,)


class CatalogAgent:
    """Keeps the item store equal to the items topic; a null value takes an item away."""

    def __init__(self, context: Context, store: ItemStore) -> None:
        self._store = store
        self._decoder = context.decoder(ITEMS, "catalog")
        self.checkpoint = context.checkpoint()

    async def process(self, event: Any) -> None:
        """Store one batch; of one item the last record holds."""
        batch: Batch = event.value
        usable = await self._decoder.decode(record for record in batch if record.value is not None or not record.key)
        newest: dict[str, Any] = {}
        for record, item in usable:
            newest[item.item_id] = (record.offset, item)
        for record in batch:
            if record.value is None and record.key:
                item_id = record.key.decode(errors="replace")
                if newest.get(item_id, (-1, None))[0] < record.offset:
                    newest[item_id] = (record.offset, None)
        await patiently(lambda: self._apply(newest), "items wait for the store")
        self.checkpoint.hold([event])

    def drop(self) -> None:
        """Forget what is held: after a rebalance it is read again."""
        self.checkpoint.drop()

    async def _apply(self, newest: dict[str, Any]) -> None:
        await self._store.write([item for _, item in newest.values() if item is not None])
        await self._store.delete([item_id for item_id, (_, item) in newest.items() if item is None])
