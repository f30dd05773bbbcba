"""A feed worker whose agent fails on one item: the pipeline's own code, over a catalog snapshot that raises."""

from __future__ import annotations

import asyncio
import signal

import uvloop

from infra.settings import read_settings
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot, ItemLabels
from streams.roles.feed.feed_role import run


class CursedSnapshot(CatalogSnapshot):
    """Knows everything but one item, of which it cannot even be asked."""

    def labels(self, item_id: str | None) -> ItemLabels | None:
        """Raise for the cursed item."""
        if item_id == "cursed":
            raise RuntimeError("this item is cursed")
        return super().labels(item_id)


async def main() -> None:
    """Run until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(read_settings(), stop, catalog_snapshot=CursedSnapshot())


if __name__ == "__main__":
    uvloop.run(main())
