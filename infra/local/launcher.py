"""Launcher: replaces itself by another program, which ends when the parent process ends.

    python launcher.py PARENT-PID DEATH-SIGNAL USER PROGRAM ARGUMENT…

It is a separate program because a process with threads must not run other code between fork and exec. It imports none
of our modules: it may run as a user without the right to read them.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_OWNER_ONLY = 0o077


def main(parent: str, death_signal: str, user: str, *argv: str) -> None:
    """Switch to the user if there is one, request the death signal, and execute the program with a private umask.

    Args:
        parent: Process id of the parent.
        death_signal: Number of the signal that the kernel sends when the parent ends (Linux).
        user: User to switch to; empty for none.
        argv: The program and its arguments.
    """
    os.umask(_OWNER_ONLY)
    if user:
        import pwd

        entry = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    if sys.platform == "linux":
        # After the change of user, which clears it.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("the process that asked for this one is gone")
    os.execv(argv[0], argv)  # noqa: S606 - the purpose of this program


if __name__ == "__main__":
    main(*sys.argv[1:])
