"""Sizing: memory and disk of the trainer's state after a stream, against the formula; times of snapshots.

The formula is that of docs/sizing.md. The state is saved, and restored by another process, whose memory grows by what
the state takes.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from bench.cases.footprint import mean_object_bytes
from bench.load import EventLoad
from bench.rig import OnBenchProgress
from bench.sizes import encoded_users, size_of
from infra.settings import Settings
from streams.core.position import Position
from streams.core.user.user_state import UserState
from streams.roles.trainer.learner_params import learner_params
from streams.roles.trainer.online_learner import OnlineLearner, new_learner
from streams.roles.trainer.snapshot_store import SnapshotStore, packed

SOURCE = "bench"
_TELL_EVERY = 1_000


def measure(load: EventLoad, settings: Settings, *, on_progress: OnBenchProgress) -> dict[str, float]:
    """Return bytes as measured and by the formula, and the seconds of snapshots and of learning everything again."""
    params = learner_params(settings)
    online = OnlineLearner(new_learner(params))
    for item in load.items:
        online.learner.catalog.apply_item(item)
    learning_s = time.process_time()
    for number, event in enumerate(load.history()):
        if number % _TELL_EVERY == 0:
            on_progress("learn in this process", number, load.size.events)
        online.apply(event, Position(0, number, event.occurred_at))
    learning_s = time.process_time() - learning_s
    on_progress("save and restore", 0, 0)
    users = encoded_users(online.learner)
    stream = size_of(online.learner, users)
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        pause_s = time.process_time()
        arrays = packed(online.state(), {})
        pause_s, write_s = time.process_time() - pause_s, time.process_time()
        file_bytes = SnapshotStore(Path(folder), params=params, source=SOURCE).put(arrays)
        write_s = time.process_time() - write_s
        report = msgspec.json.decode(
            subprocess.run(  # noqa: S603 - our own module
                [sys.executable, "-m", "bench.restored", folder], check=True, capture_output=True
            ).stdout
        )
    return {
        **dataclasses.asdict(stream),
        "user_bytes": sum(map(len, users)) / len(users),
        "user_bytes_formula": stream.user_bytes,
        "object_bytes": mean_object_bytes(users, UserState),
        "object_bytes_formula": stream.object_bytes,
        "trainer_bytes": report["bytes"],
        "trainer_bytes_formula": stream.trainer_bytes,
        "snapshot_bytes": file_bytes,
        "snapshot_bytes_formula": stream.snapshot_bytes,
        "learn_s": round(learning_s, 2),
        "pause_s": round(pause_s, 2),
        "write_s": round(write_s, 2),
        "restore_s": report["seconds"],
    }
