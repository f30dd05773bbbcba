"""A slow fake of the language model: `python -m bench.model PORT SECONDS`.

A real one runs on another machine, so the fake has the lowest priority and leaves the processor to the pipeline.
"""

from __future__ import annotations

import asyncio
import sys

from infra import process_priority
from infra.fakes.fake_claude import FakeClaude


async def serve(port: int, delay_s: float) -> None:
    """Serve the fake until a signal stops the process."""
    async with FakeClaude(delay_s=delay_s).serve(port=port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    process_priority.lower(19)
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
