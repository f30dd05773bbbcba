"""Children that outlived their parent: written down while they run, ended before the next start.

Where the kernel does not tell children of a parent's death, and while those that were told still shut down.
"""

from __future__ import annotations

import signal
from pathlib import Path

import msgspec
import psutil

from infra.private_file import write_private

_END_WITHIN_S = 20.0


class _Record(msgspec.Struct):
    pid: int
    created_s: float
    stop_signal: int


def record(file: Path, pid: int, stop_signal: signal.Signals) -> None:
    """Write down a child."""
    try:
        created_s = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return  # it has just ended
    write_private(file, msgspec.json.encode(_Record(pid, created_s, int(stop_signal))))


def end_stale(folder: Path) -> list[int]:
    """End the children that are written down in a folder, wait until they are gone, and return their ids."""
    pids = []
    for file in sorted(folder.glob("*.json")):
        try:
            child = msgspec.json.decode(file.read_bytes(), type=_Record)
            process = psutil.Process(child.pid)
            if abs(process.create_time() - child.created_s) < 1.0:  # the id may be another process's by now
                pids.append(child.pid)
                process.send_signal(child.stop_signal)
                try:
                    process.wait(_END_WITHIN_S)
                except psutil.TimeoutExpired:
                    process.kill()
                    process.wait()
        except (psutil.NoSuchProcess, msgspec.DecodeError):
            pass
        file.unlink()
    return pids
