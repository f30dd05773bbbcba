"""Private files and folders, readable only by their owner: addresses with passwords, logs, data."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER_MODE, FILE_MODE = 0o700, 0o600


def private_folder(folder: Path) -> None:
    """Create a folder that only its owner may enter, or restrict an existing one; parent folders are unchanged."""
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    folder.chmod(FOLDER_MODE)


def write_private(file: Path, data: bytes) -> None:
    """Replace a file atomically by one that only its owner may read."""
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as stream:
        stream.write(data)
    partial.replace(file)
