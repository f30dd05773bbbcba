"""The examples of the documents run against the served API."""

import asyncio
import re
from itertools import count
from pathlib import Path

import pytest

from tests.build import T0_MS, a_feed, an_item
from tests.unit.api.builder import World
from tests.unit.client.server import Failing, served

ROOT = Path(__file__).parents[3]
EXAMPLES = [
    example
    for path in (ROOT / "README.md", ROOT / "client" / "README.md")
    for example in re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)
    if "millrace_client" in example
]
LIKE = r"0\.\d{3}  i1 .*\n(.*\n)*after the like: i1"
OUTPUTS = [LIKE, LIKE, r"\S+ i1", r"event 1, value: .+", "", ""]
LONG_AFTER_MS = 2**42


@pytest.mark.parametrize(("example", "output"), list(zip(EXAMPLES, OUTPUTS, strict=True)), ids=range(len(EXAMPLES)))
async def test_an_example_runs(example: str, output: str) -> None:
    world, lines = World(), list[str]()
    await world.items.write([an_item("i1")])
    await write_feed(world, 0)
    async with served(world) as (url, app):
        code = example.replace("http://localhost:8000", url)
        names = {"__name__": "example", "print": lambda *texts: lines.append(" ".join(map(str, texts)))}
        ranking = asyncio.ensure_future(rank_after_each_request(world, app))
        await asyncio.to_thread(exec, code, names)
        ranking.cancel()
    assert re.fullmatch(output, "\n".join(lines))


async def rank_after_each_request(world: World, app: Failing) -> None:
    for number in count(1):
        await app.until_asked(number)
        await write_feed(world, number)


async def write_feed(world: World, number: int) -> None:
    feed = a_feed(user_id="alex", features_version=number, generated_at=T0_MS + number, watermark=LONG_AFTER_MS)
    await world.feeds.write([feed])
