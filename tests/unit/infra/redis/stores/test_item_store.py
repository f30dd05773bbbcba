import asyncio
from collections.abc import Sequence

import msgspec

from infra.redis.stores.item_store import ItemCache, ItemReader, MemoryItemStore
from tests.build import an_item


class CountedItems(MemoryItemStore):
    """Remembers which ids were read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[list[str]] = []

    async def read(self, item_ids: Sequence[str]) -> list[bytes | None]:
        self.reads.append(list(item_ids))
        return await super().read(item_ids)


class Clock:
    """A clock that stands still until it is set."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def a_store(*item_ids: str) -> CountedItems:
    store = CountedItems()
    await store.write([an_item(item_id) for item_id in item_ids])
    return store


async def test_item_cache_asks_for_what_it_has_not_got() -> None:
    store = await a_store("i1", "i2")
    cache = ItemCache(store, clock_s=Clock())
    first, missed_first = await cache.read(["i1"])
    second, missed_second = await cache.read(["i2", "i1"])
    assert (missed_first, missed_second) == (1, 1)
    assert store.reads == [["i1"], ["i2"]]
    assert second[1] == first[0]
    assert b'"item_id":"i2"' in bytes(second[0] or b"")


async def test_item_cache_forgets_after_a_while() -> None:
    store, clock = await a_store("i1"), Clock()
    cache = ItemCache(store, ttl_s=30, clock_s=clock)
    await cache.read(["i1"])
    await store.write([an_item("i1", title="changed")])
    clock.now_s = 29.9
    [old], _ = await cache.read(["i1"])
    clock.now_s = 30.0
    [new], _ = await cache.read(["i1"])
    assert b"changed" not in bytes(old or b"")
    assert b"changed" in bytes(new or b"")


async def titles(cache: ItemCache, *item_ids: str) -> list[str | None]:
    entries, _ = await cache.read(item_ids)
    return [None if data is None else msgspec.json.decode(data)["title"] for data in entries]


async def heard(events: int) -> None:
    for _ in range(5 * events):
        await asyncio.sleep(0)


async def test_item_cache_forgets_what_changes_while_it_follows() -> None:
    store = await a_store("i1", "i2", "i3")
    cache = ItemCache(store, clock_s=Clock())
    following = asyncio.create_task(cache.follow())
    await heard(1)
    assert await titles(cache, "i1", "i2", "i3") == ["Title of i1", "Title of i2", "Title of i3"]
    await store.write([an_item("i1", title="changed")])
    await store.delete(["i2"])
    await heard(2)
    assert await titles(cache, "i1", "i2", "i3") == ["changed", None, "Title of i3"]
    assert store.reads == [["i1", "i2", "i3"], ["i1", "i2"]]
    following.cancel()
    await asyncio.wait([following])
    await store.delete(["i3"])
    await heard(1)
    assert await titles(cache, "i3") == ["Title of i3"], "for as long as it holds"


async def test_item_cache_does_not_keep_what_changed_while_it_was_read() -> None:
    class Slow(CountedItems):
        async def read(self, item_ids: Sequence[str]) -> list[bytes | None]:
            entries = await super().read(item_ids)
            cache.forget(["i1"])  # the news comes before the answer does
            return entries

    store = Slow()
    await store.write([an_item("i1")])
    cache = ItemCache(store, clock_s=Clock())
    assert await titles(cache, "i1") == await titles(cache, "i1") == ["Title of i1"]
    assert store.reads == [["i1"], ["i1"]]


async def test_item_cache_forgets_all_when_news_may_have_been_missed() -> None:
    store, clock = await a_store("i1", "i2"), Clock()
    cache = ItemCache(store, clock_s=clock)
    await titles(cache, "i1", "i2")
    cache.forget(None)
    await titles(cache, "i1")
    clock.now_s = 29.0
    await titles(cache, "i1")
    assert store.reads == [["i1", "i2"], ["i1"]]


async def test_item_cache_expires_once_what_was_forgotten_and_read_again() -> None:
    store, clock = await a_store("i1"), Clock()
    cache = ItemCache(store, ttl_s=30, clock_s=clock)
    for at_s in (0.0, 10.0, 20.0):
        clock.now_s = at_s
        await titles(cache, "i1")
        cache.forget(["i1"])
    await titles(cache, "i1")
    clock.now_s = 100.0
    assert await titles(cache, "i1") == ["Title of i1"]


async def test_who_watches_an_item_hears_of_its_changes_and_of_no_others() -> None:
    cache, event = ItemCache(await a_store()), asyncio.Event()
    with cache.watching(event) as watch:
        watch(["i1", "i2"])
        cache.forget(["i3"])
        assert not event.is_set()
        cache.forget(["i3", "i2"])
        assert event.is_set()
        event.clear()
        cache.forget(None)
        assert event.is_set()
    event.clear()
    cache.forget(["i1"])
    assert not event.is_set()


async def test_item_cache_does_not_remember_what_is_missing() -> None:
    store = await a_store()
    cache = ItemCache(store, clock_s=Clock())
    assert await cache.read(["i1"]) == ([None], 1)
    await store.write([an_item("i1")])
    entries, _ = await cache.read(["i1"])
    assert entries[0] is not None


async def test_item_cache_lets_the_oldest_go_when_it_is_full() -> None:
    store = await a_store("i1", "i2", "i3")
    cache = ItemCache(store, capacity=2, clock_s=Clock())
    for item_id in ("i1", "i2", "i3", "i3", "i1"):
        await cache.read([item_id])
    assert store.reads == [["i1"], ["i2"], ["i3"], ["i1"]]


async def test_item_cache_answers_in_the_order_asked_with_repeats() -> None:
    cache = ItemCache(await a_store("i1", "i2"), clock_s=Clock())
    entries, miss_count = await cache.read(["i2", "none", "i1", "i2"])
    assert [item and bytes(item)[:15] for item in entries] == [
        b'{"item_id":"i2"',
        None,
        b'{"item_id":"i1"',
        b'{"item_id":"i2"',
    ]
    assert miss_count == 4


def test_an_item_is_read_anew_once_its_json_is_another() -> None:
    read: list[bytes] = []
    reader: ItemReader[int] = ItemReader(lambda data: read.append(bytes(data)) or len(read), capacity=2)  # type: ignore[func-returns-value]
    first, second = msgspec.Raw(b"1"), msgspec.Raw(b"2")
    assert [reader.read("i1", data) for data in (first, first, second, second, first)] == [1, 1, 2, 2, 3]
    assert read == [b"1", b"2", b"1"]
    assert [reader.read(item, first) for item in ("i2", "i3", "i3", "i1")] == [4, 5, 5, 6]
