"""Restores the newest snapshot in a folder, and prints the growth of this process and the seconds, as JSON."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec
import psutil

from bench.cases.sizing import SOURCE
from infra.settings import Settings
from streams.roles.trainer.learner_params import learner_params
from streams.roles.trainer.online_learner import OnlineLearner, new_learner
from streams.roles.trainer.snapshot_store import SnapshotStore


def main(folder: Path) -> None:
    """Restore an online learner and print what that took.

    Args:
        folder: The folder of the snapshot store.
    """
    params = learner_params(Settings())
    online, process = OnlineLearner(new_learner(params)), psutil.Process()
    store = SnapshotStore(folder, params=params, source=SOURCE)
    before, started_s = process.memory_info().rss, time.process_time()
    online.restore(next(iter(store.newest())).state)
    seconds = time.process_time() - started_s
    growth = process.memory_info().rss - before
    print(msgspec.json.encode({"bytes": growth, "seconds": round(seconds, 2)}).decode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
