"""Log file of a child process: rotated at a maximum size, and readable only by its owner."""

from __future__ import annotations

import os
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

from infra.private_file import FILE_MODE, private_folder

MAX_BYTES = 20 << 20
MAX_FILES = 3
"""Number of rotated files to keep."""
_TAIL_BYTES = _CHUNK = 64 << 10


class ChildLog:
    """The log of one child process, which holds the file open for appending."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def open(self) -> IO[bytes]:
        """Open the file for a child process to append to."""
        private_folder(self.file.parent)
        stream = os.fdopen(os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, FILE_MODE), "ab")
        for file in (self.file, *(self._part(number) for number in range(1, MAX_FILES + 1))):
            if file.exists():
                file.chmod(FILE_MODE)
        return stream

    def rotate(self) -> bool:
        """Rotate the log if it is too large, and say whether it was; the child may write meanwhile.

        The child keeps its open file, so the content is copied and the file truncated. Output between these two steps,
        some milliseconds, is lost.
        """
        if not self.file.exists() or self.file.stat().st_size <= MAX_BYTES:
            return False
        for number in range(MAX_FILES, 1, -1):
            if self._part(number - 1).exists():
                self._part(number - 1).replace(self._part(number))
        newest = self._part(1)
        with self.file.open("rb") as source, os.fdopen(_create(newest), "wb") as copy:
            source.seek(-MAX_BYTES, os.SEEK_END)  # the file may be many times larger
            for chunk in islice(iter(partial(source.read, _CHUNK), b""), 2 * MAX_BYTES // _CHUNK + 1):
                copy.write(chunk)
        os.truncate(self.file, 0)
        return True

    def tail(self, lines: int) -> list[str]:
        """Return the last lines."""
        if not self.file.exists():
            return []
        with self.file.open("rb") as stream:
            stream.seek(max(0, self.file.stat().st_size - _TAIL_BYTES))
            return stream.read().decode(errors="replace").splitlines()[-lines:]

    def _part(self, number: int) -> Path:
        return self.file.with_suffix(f".log.{number}")


def _create(file: Path) -> int:
    file.unlink(missing_ok=True)
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
