"""CPU priority of a process."""

from __future__ import annotations

import os
import time
from pathlib import Path

_AUTOGROUP = Path("/proc/self/autogroup")
_ATTEMPTS, _PAUSE_S = 30, 0.1
"""Linux accepts one change of an autogroup per 0.1 s, over all processes."""


def lower(niceness: int, *, autogroup: Path = _AUTOGROUP) -> None:
    """Lower the CPU priority of this process.

    If Linux schedules by session (sched_autogroup, see sched(7)), niceness applies among the processes of one session
    only, so the niceness of the session has to be set as well. This process does so if it leads its session, as under
    `millrace up`.

    Args:
        niceness: Increment from 0 to 19; processes of lower niceness get the CPU first.
        autogroup: File with the niceness of the session.
    """
    os.nice(niceness)
    if os.getsid(0) != os.getpid():
        return
    for _ in range(_ATTEMPTS):
        try:
            autogroup.write_text(str(niceness))
        except BlockingIOError:
            time.sleep(_PAUSE_S)
        except OSError:  # the system has no autogroups
            return
        else:
            return
