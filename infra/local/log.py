"""A child's log: a file that is cut before it grows without bound, and that only its owner may read."""

from __future__ import annotations

import os
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

from infra.private_file import FILE_MODE, private_folder

MAX_BYTES = 20 << 20
KEPT = 3
"""Older parts that are kept beside the newest."""
_TAIL_BYTES = _CHUNK = 64 << 10


class ChildLog:
    """The log of one child, whose file the child has open for appending."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def open(self) -> IO[bytes]:
        """Open it for appending, for a child to write to."""
        private_folder(self.file.parent)
        opened = os.fdopen(os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, FILE_MODE), "ab")
        for file in (self.file, *(self._part(number) for number in range(1, KEPT + 1))):
            if file.exists():
                file.chmod(FILE_MODE)
        return opened

    def rotate(self) -> bool:
        """Put a log that has grown too long aside, and say whether it had; its child may write meanwhile.

        The child keeps its open file, so what it has written is copied and then taken out of it. What it writes between
        the two, some milliseconds, is lost.
        """
        if not self.file.exists() or self.file.stat().st_size <= MAX_BYTES:
            return False
        for number in range(KEPT, 1, -1):
            if self._part(number - 1).exists():
                self._part(number - 1).replace(self._part(number))
        newest = self._part(1)
        with self.file.open("rb") as source, os.fdopen(_create(newest), "wb") as copy:
            source.seek(-MAX_BYTES, os.SEEK_END)  # a child may have written many times that
            for chunk in islice(iter(partial(source.read, _CHUNK), b""), 2 * MAX_BYTES // _CHUNK + 1):
                copy.write(chunk)
        os.truncate(self.file, 0)
        return True

    def tail(self, lines: int) -> list[str]:
        """Return the last lines."""
        if not self.file.exists():
            return []
        with self.file.open("rb") as opened:
            opened.seek(max(0, self.file.stat().st_size - _TAIL_BYTES))
            return opened.read().decode(errors="replace").splitlines()[-lines:]

    def _part(self, number: int) -> Path:
        return self.file.with_suffix(f".log.{number}")


def _create(file: Path) -> int:
    file.unlink(missing_ok=True)
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
