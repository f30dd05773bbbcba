"""A language model that takes its time: `python -m bench.model PORT SECONDS`.

It would run elsewhere: here it takes what processor time the pipeline leaves.
"""

from __future__ import annotations

import asyncio
import sys

from infra import process_priority
from infra.fakes.fake_claude import FakeClaude


async def serve(port: int, delay_s: float) -> None:
    """Serve the double until told to stop."""
    async with FakeClaude(delay_s=delay_s).serve(port=port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    process_priority.lower(19)
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
