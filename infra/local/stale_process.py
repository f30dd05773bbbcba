"""Orphaned child processes: recorded while they run, and ended before the next start.

Orphans exist where the kernel has no death signal, and while children that received it still shut down.
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
    """Record a child process.

    Args:
        file: File of the record.
        pid: Process id of the child.
        stop_signal: Signal that ends it in order.
    """
    try:
        created_s = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return  # it has ended already
    write_private(file, msgspec.json.encode(_Record(pid, created_s, int(stop_signal))))


def interrupt(file: Path) -> bool:
    """Send the stop signal to a recorded child process, which its supervisor then starts again; say whether it runs.

    Args:
        file: File of the record.
    """
    try:
        child = msgspec.json.decode(file.read_bytes(), type=_Record)
        process = psutil.Process(child.pid)
        if not _is_recorded(process, child):
            return False
        process.send_signal(child.stop_signal)
    except (FileNotFoundError, psutil.NoSuchProcess, msgspec.DecodeError):
        return False
    return True


def end_stale(folder: Path) -> list[int]:
    """End the child processes recorded in a folder, wait for their end, and return their process ids."""
    pids = []
    for file in sorted(folder.glob("*.json")):
        try:
            child = msgspec.json.decode(file.read_bytes(), type=_Record)
            process = psutil.Process(child.pid)
            if _is_recorded(process, child):
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


def _is_recorded(process: psutil.Process, child: _Record) -> bool:
    """Return False if the process id belongs to another process by now."""
    return bool(abs(process.create_time() - child.created_s) < 1.0)
