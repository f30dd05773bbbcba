"""A worker for the tests of the transport: notes what it processed, holds its events, acknowledges them in checkpoints.

python -m tests.pipeline.transport.transport_worker '{"bootstrap_servers": ..., "app_id": ..., "topic": ..., ...}'
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import faust
import uvloop

from infra.settings import Settings
from streams.runtime.faust_role import batch_limits
from streams.transport import App, Batch, as_current, batch_topic, faust_app, run

CHECKPOINT_S = 0.2


def build(options: dict[str, Any]) -> App:
    """Return the app: counts records per key, if it has a table, and notes every record it saw."""
    home = Path(options["home"])
    app = faust_app(
        options["app_id"],
        bootstrap_servers=options["bootstrap_servers"],
        datadir=home / "state",
        store=options.get("store", "memory"),
        limits=replace(batch_limits(Settings()), **options.get("limits", {})),
        commit_interval_s=0.3,
        session_timeout_s=options.get("session_timeout_s", 3.0),
        instance_id=options.get("instance_id"),
    )
    topic = batch_topic(app, options["topic"])
    counts = app.bytes_table("counts", partitions=options["partitions"]) if options.get("table") else None
    notes = os.open(home / "processed", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    held_events: list[faust.Event] = []

    def write(event: faust.Event) -> None:
        batch: Batch = event.value
        if counts is not None:
            with as_current(event):
                for record in batch:
                    last = json.loads(counts.get(record.key) or b"[0, -1]")
                    if record.offset > last[1]:  # a record that comes again was counted
                        counts[record.key] = json.dumps([last[0] + 1, record.offset]).encode()
        os.write(notes, "".join(f"{batch.partition} {record.offset}\n" for record in batch).encode())

    @app.on_drain
    async def checkpoint() -> None:
        events, held_events[:] = list(held_events), []
        for event in events:
            if app.is_live(event):
                write(event)
                event.ack()

    @app.agent(topic)
    async def reader(stream: faust.Stream) -> None:
        async for event in stream.noack().events():
            held_events.append(event)

    @app.task
    async def checkpoints() -> None:
        while not app.should_stop:
            await asyncio.sleep(CHECKPOINT_S)
            await checkpoint()

    return app


async def main(options: dict[str, Any]) -> None:
    """Run until SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(build(options), stop)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    uvloop.run(main(json.loads(sys.argv[1])))
