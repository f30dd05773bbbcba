"""Collecting now and then: each list once in a turn, and the turn's name is the same after a restart."""

import asyncio

from infra.fakes.memory_publisher import MemoryPublisher
from infra.redis.stores.collection_store import MemoryCollectionStore
from infra.socialverse import LISTS
from streams.roles.collect.collect_role import collect_periodically
from streams.roles.collect.collector import Collector


class NoPages:
    """An external API with nothing in it."""

    def __init__(self) -> None:
        self.requests: list[str] = []

    async def page(self, collection: str, page: int, page_size: int) -> list[object]:
        self.requests.append(collection)
        return []


async def test_every_list_is_collected_once_in_a_turn_though_the_role_is_restarted() -> None:
    pages, pauses_s = NoPages(), list[float]()
    now_ms = 10_500
    collecting = Collector(pages, MemoryPublisher(), MemoryCollectionStore(), now_ms=lambda: now_ms, rating_scale=5.0)  # type: ignore[arg-type]

    async def sleep(seconds: float) -> None:
        nonlocal now_ms
        now_ms += round(1_000 * seconds)
        pauses_s.append(seconds)
        if len(pauses_s) > 1:
            raise asyncio.CancelledError

    async def run() -> None:
        task = asyncio.create_task(collect_periodically(collecting, 10.0, now_ms=lambda: now_ms, sleep=sleep))
        await asyncio.gather(task, return_exceptions=True)

    await run()
    assert (pages.requests, pauses_s) == ([*LISTS, *LISTS], [9.5, 10.0])
    now_ms = 25_000
    await run()
    assert len(pages.requests) == 2 * len(LISTS), "a turn that was done is not done again"
