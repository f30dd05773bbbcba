import asyncio
from collections.abc import Sequence

import pytest

from infra.redis.coalescer import Coalescer


class Source:
    """Answers each key in capitals, and remembers what it was asked in one go."""

    def __init__(self) -> None:
        self.reads: list[list[str]] = []
        self.answering = asyncio.Event()
        self.answering.set()
        self.error: Exception | None = None

    async def fetch(self, keys: Sequence[str]) -> list[str]:
        self.reads.append(list(keys))
        await self.answering.wait()
        if self.error:
            raise self.error
        return [key.upper() for key in keys]


async def test_reads_of_one_tick_are_fetched_once_and_each_key_once() -> None:
    source = Source()
    reads = Coalescer(source.fetch)
    entries = await asyncio.gather(reads.read(["a", "b"]), reads.read(["b", "c", "b"]), reads.read([]))
    assert entries == [["A", "B"], ["B", "C", "B"], []]
    assert source.reads == [["a", "b", "c"]]


async def test_reads_of_later_ticks_are_fetched_again() -> None:
    source = Source()
    reads = Coalescer(source.fetch)
    assert await reads.read(["a"]) == ["A"]
    assert await reads.read(["a"]) == ["A"]
    assert source.reads == [["a"], ["a"]]


async def test_reads_past_the_most_keys_are_split() -> None:
    source = Source()
    reads = Coalescer(source.fetch)
    requests = [[f"{batch}-{key}" for key in range(900)] for batch in range(5)]
    entries = await asyncio.gather(*(reads.read(keys) for keys in requests))
    assert entries == requests
    assert [len(keys) for keys in source.reads] == [1800, 1800, 900]


async def test_error_of_a_fetch_reaches_all_who_asked_in_that_tick() -> None:
    source = Source()
    source.error = ValueError("away")
    reads = Coalescer(source.fetch)
    entries = await asyncio.gather(reads.read(["a"]), reads.read(["b"]), return_exceptions=True)
    assert [str(error) for error in entries] == ["away", "away"]
    source.error = None
    assert await reads.read(["a"]) == ["A"]


async def test_reader_who_gives_up_takes_nothing_from_the_others() -> None:
    source = Source()
    source.answering.clear()
    reads = Coalescer(source.fetch)
    impatient, patient = asyncio.ensure_future(reads.read(["a"])), asyncio.ensure_future(reads.read(["b"]))
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    source.answering.set()
    assert await patient == ["B"]
