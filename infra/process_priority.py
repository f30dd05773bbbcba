"""How much of the processor a process asks for."""

from __future__ import annotations

import os
import time
from pathlib import Path

_AUTOGROUP = Path("/proc/self/autogroup")
_ATTEMPTS, _PAUSE_S = 30, 0.1
"""Linux takes such a wish once in a tenth of a second, whoever asks."""


def lower(niceness: int, *, autogroup: Path = _AUTOGROUP) -> None:
    """Leave the processor to processes of a lower niceness, from 0 to 19, where they want it.

    Where Linux schedules by session (sched_autogroup, see sched(7)), niceness counts among the processes of one session
    only, so that the session has to be nice as well. That is ours to say where we lead it, as under `millrace up`.
    """
    os.nice(niceness)
    if os.getsid(0) != os.getpid():
        return
    for _ in range(_ATTEMPTS):
        try:
            autogroup.write_text(str(niceness))
        except BlockingIOError:
            time.sleep(_PAUSE_S)
        except OSError:  # there are no such groups here
            return
        else:
            return
