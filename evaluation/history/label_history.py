"""Labels of items as of a time, from the versions of the items that their topic holds."""

from __future__ import annotations

from bisect import bisect_right

from infra.kafka.consumer import partitions_of
from infra.kafka.readers.record_window import WindowReader
from infra.kafka.registry import Registry
from schemas.types import Item
from streams.core.ranking.catalog.catalog_snapshot import ItemLabels
from streams.runtime.decode import Decoder
from topics.topic import ITEMS


class LabelHistory:
    """The labels of items by append time.

    The topic is compacted, so that older versions may be missing. Before the oldest version there is, an item has the
    labels of that version.
    """

    def __init__(self) -> None:
        self._versions: dict[str, tuple[list[int], list[ItemLabels]]] = {}

    def add(self, item: Item, append_ms: int) -> None:
        """Add a version of an item, later than those before."""
        times_ms, labels = self._versions.setdefault(item.item_id, ([], []))
        times_ms.append(append_ms)
        labels.append(ItemLabels.of(item))

    def labels(self, item_id: str | None, at_ms: int) -> ItemLabels | None:
        """Return the labels of an item at an append time; None if no version is known.

        >>> history = LabelHistory()
        >>> for append_ms, category in ((10, "jazz"), (20, "blues")):
        ...     history.add(Item(item_id="i1", category=category, title="", created_at=0), append_ms)
        >>> [history.labels("i1", at_ms).category for at_ms in (5, 10, 19, 20)]
        ['jazz', 'jazz', 'jazz', 'blues']
        """
        versions = self._versions.get(item_id or "")
        if versions is None:
            return None
        times_ms, labels = versions
        return labels[max(bisect_right(times_ms, at_ms) - 1, 0)]


async def read_labels(reader: WindowReader, registry: Registry) -> LabelHistory:
    """Return the labels of all items of the catalogue."""
    history, decoder = LabelHistory(), Decoder(ITEMS, registry, None, stage="history")
    async for records in reader.forwards(await reader.window(partitions_of(ITEMS))):
        for record, item in await decoder.decode(records):
            history.add(item, record.timestamp)
    return history
