"""Search of files: their names and their bytes, as they lie on the disk."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from infra.erasure.occurrences.id_pattern import IdPattern

_CHUNK_BYTES = 4 << 20


class FileSearch(NamedTuple):
    """Result of a search of files."""

    counts: Counter[str]
    """Occurrences by file, relative to the folder."""
    unread: list[str]
    """Files that this account may not read."""


def search_files(
    folder: Path, pattern: IdPattern, *, on_progress: Callable[[int, int], None], chunk_bytes: int = _CHUNK_BYTES
) -> FileSearch:
    """Return the number of occurrences of an id by file. Links are not followed; files that vanish are left out.

    Args:
        folder: The folder, with all folders in it.
        pattern: The id.
        on_progress: Called with the numbers of bytes so far, and of all.
        chunk_bytes: Number of bytes to read at a time.
    """
    counts: Counter[str] = Counter()
    unread: list[str] = []
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    sizes = {path: _size(path) for path in paths}
    total, byte_count = sum(sizes.values()), 0
    for path in paths:
        name = str(path.relative_to(folder))
        try:
            counts[pattern.masked(name)] += pattern.count(name.encode()) + _count(path, pattern, chunk_bytes)
        except FileNotFoundError:
            pass
        except OSError:
            unread.append(name)
        byte_count += sizes[path]
        on_progress(byte_count, total)
    return FileSearch(+counts, unread)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _count(path: Path, pattern: IdPattern, chunk_bytes: int) -> int:
    """Return the number of occurrences in a file; one that lies across two chunks is counted in the second."""
    count, rest = 0, b""
    with path.open("rb", buffering=0) as source:
        while True:
            position = source.tell()
            start = source.seek(_next_data(source, position))
            if start > position:
                count, rest = count + pattern.count(rest), b""
            chunk = source.read(chunk_bytes)
            if not chunk:
                return count + pattern.count(rest)
            data = rest + chunk
            rest = data[-(pattern.longest - 1) :] if pattern.longest > 1 else b""
            count += pattern.count(data) - pattern.count(rest)


def _next_data(source: FileIO, position: int) -> int:
    """Return the position of the next byte that is no hole: Kafka's indexes are files of 10 MB with nothing in them."""
    try:
        return os.lseek(source.fileno(), position, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a hole up to the end
            return os.fstat(source.fileno()).st_size
        return position  # a file system without holes
