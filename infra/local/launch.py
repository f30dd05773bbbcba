"""Become another program that ends when the one that started it does.

python launch.py PARENT-PID DEATH-SIGNAL USER PROGRAM ARGUMENT…

A program of its own because nothing but `exec` is safe between fork and exec in a process with threads. It imports
nothing of ours: it runs as whatever user it is told to, who may not be able to read our files.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_OWNER_ONLY = 0o077


def main(parent: str, death_signal: str, user: str, *argv: str) -> None:
    """Give up root where a user is named, ask for the signal, become the program; what it writes only it may read."""
    os.umask(_OWNER_ONLY)
    if user:
        import pwd

        entry = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    if sys.platform == "linux":
        # After the change of user, which would clear it.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("the process that asked for this one is gone")
    os.execv(argv[0], argv)  # noqa: S606 - that is the point


if __name__ == "__main__":
    main(*sys.argv[1:])
