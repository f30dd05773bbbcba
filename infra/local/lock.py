"""Lock for a single local stack per home folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from infra.error import OperatorError
from infra.private_file import FILE_MODE, private_folder


class Lock:
    """A file lock that the kernel releases when its holder ends, even after a crash."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Acquire the lock.

        Raises:
            OperatorError: another process holds it.
        """
        private_folder(self._home)
        file = os.fdopen(os.open(self._home / "up.lock", os.O_RDWR | os.O_APPEND | os.O_CREAT, FILE_MODE), "a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            pid = file.read().strip()
            file.close()
            raise OperatorError(
                f"A local stack already runs in {self._home} (process {pid}).",
                f"Use it (`millrace status` shows it), end it with `kill {pid}`, or choose another folder with"
                " MILLRACE_HOME.",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        """Release the lock."""
        if self._file is not None:
            self._file.close()
            self._file = None
