"""A refill beside live writes: the store ends with the newest of every key, whatever the order of the two."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.redis.connection import StoreError, StoreRefusedError
from streams.runtime.refill.store_refill import Projector, RefillEntry


class Shelf:
    """A store of one process that may lose everything, and gives way while it writes."""

    def __init__(self) -> None:
        self.entries: dict[bytes, int] = {}
        self.away = False
        self.was_away = asyncio.Event()
        self.refuses: bytes | None = None

    async def write(self, changes: Mapping[bytes, Any]) -> None:
        await asyncio.sleep(0)
        if self.away:
            self.was_away.set()
            raise StoreError("writing", ConnectionError())
        if self.refuses in changes:
            raise StoreRefusedError("writing", ValueError("too long"))
        for key, value in changes.items():
            if value is None:
                self.entries.pop(key, None)
            else:
                self.entries[key] = value
            await asyncio.sleep(0)


async def chunks(log: Sequence[RefillEntry], sizes: Sequence[int]) -> AsyncIterator[list[RefillEntry]]:
    """Yield a log in chunks, giving way between them."""
    start = 0
    for size in [*sizes, len(log)]:
        await asyncio.sleep(0)
        yield list(log[start : start + size])
        start += size


def newest(log: Sequence[RefillEntry]) -> dict[bytes, int]:
    return {key: value for key, value in dict(log).items() if value is not None}


KEYS = st.sampled_from([b"a", b"b", b"c", b"d"])
LOG = st.lists(st.tuples(KEYS, st.none() | st.integers()), max_size=30)


@given(
    log=LOG,
    prefix=st.integers(0, 30),
    live=st.lists(st.integers(1, 4), max_size=20),
    sizes=st.lists(st.integers(0, 5), max_size=10),
    pauses=st.lists(st.integers(0, 6), min_size=20, max_size=20),
)
async def test_the_newest_of_every_key_is_held_in_the_end(
    log: list[RefillEntry], prefix: int, live: list[int], sizes: list[int], pauses: list[int]
) -> None:
    """The store is lost after `prefix` records; the refill reads what there is by then while more come in."""
    shelf = Shelf()
    projector = Projector(shelf.write)
    there = log[:prefix]

    async def go_on() -> None:
        start = len(there)
        for size, pause in zip([*live, len(log)], [*pauses, 0], strict=False):
            for _ in range(pause):
                await asyncio.sleep(0)
            await projector.put(dict(log[start : start + size]))
            start += size
        await projector.put(dict(log[start:]))

    await asyncio.gather(projector.refill(chunks(there, sizes)), go_on())
    assert shelf.entries == newest(log)


async def test_a_refill_that_is_cut_off_while_the_store_is_away_leaves_writing_as_it_was() -> None:
    shelf = Shelf()
    projector = Projector(shelf.write)
    shelf.away = True
    refill = asyncio.create_task(projector.refill(chunks([(b"a", 1)], [])))
    await shelf.was_away.wait()
    refill.cancel()
    with pytest.raises(asyncio.CancelledError):
        await refill
    shelf.away = False
    await projector.put({b"a": 2})
    await projector.refill(chunks([(b"a", 1), (b"b", 1)], []))
    assert shelf.entries == {b"a": 1, b"b": 1}, "what was written before a refill began is in what it reads"


async def test_what_the_store_refuses_is_left_out_and_all_else_is_held() -> None:
    shelf = Shelf()
    shelf.refuses = b"c"
    async with asyncio.timeout(5):
        await Projector(shelf.write).refill(chunks([(b"a", 1), (b"b", 1), (b"c", 1), (b"d", 1)], [3]))
    assert shelf.entries == {b"a": 1, b"b": 1, b"d": 1}
