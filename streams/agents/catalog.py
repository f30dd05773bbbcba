"""items → the item store, from which the API joins feeds with items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.item_store import ItemStore
from streams.context import Context
from streams.patience import patiently
from streams.refill import Projector
from streams.transport import Batch
from topics.topic import ITEMS

SOURCES = (ITEMS,)


class CatalogAgent:
    """Keeps the item store equal to the items topic; a null value takes an item away."""

    def __init__(self, context: Context, store: ItemStore) -> None:
        self._store = store
        self._decoder = context.decoder(ITEMS, "catalog")
        self._items = Projector(self._write)
        self.refill = self._items.refill
        """Writes the catalogue again from its beginning."""
        self.checkpoint = context.checkpoint()

    async def process(self, event: Any) -> None:
        """Store one batch; of one item the last record holds."""
        batch: Batch = event.value
        usable = await self._decoder.decode(record for record in batch if record.value is not None or not record.key)
        items = {record.offset: item for record, item in usable}
        newest = {
            record.key: items.get(record.offset)
            for record in batch
            if record.key and (record.value is None or record.offset in items)
        }
        await patiently(lambda: self._items.put(newest), "items wait for the store")
        self.checkpoint.hold([event])

    def drop(self) -> None:
        """Forget what is held: after a rebalance it is read again."""
        self.checkpoint.drop()

    async def _write(self, newest: Mapping[bytes, Any]) -> None:
        await self._store.write([item for item in newest.values() if item is not None])
        await self._store.delete([key.decode(errors="replace") for key, item in newest.items() if item is None])
