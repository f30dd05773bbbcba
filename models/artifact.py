"""Model artifacts: named arrays and a header in one safetensors file.

The file's metadata holds the header as JSON and the format version, so that a reader rejects formats it cannot read. A
checksum over header and arrays detects damage. Writes are atomic.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors import numpy as tensors

FORMAT = 1
"""Version of the format that is written, and the newest that is read."""

Arrays = Mapping[str, NDArray[Any]]


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Metadata of a fitted model, readable without its arrays."""

    model: str
    """Name of the model in the registry."""
    version: str
    created_at_ms: int
    metrics: dict[str, float] = {}
    settings: dict[str, str | int | float | bool | None] = {}
    names: dict[str, list[str]] = {}
    """Labels of array rows, such as item ids."""
    format: int = FORMAT


class ArtifactError(Exception):
    """A file that cannot be used as an artifact."""

    def __init__(self, path: Path, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{path}: {problem}")


class NotAnArtifactError(ArtifactError):
    """A file of another kind, or a truncated one."""


class DamagedArtifactError(ArtifactError):
    """A file whose content does not match its checksum."""


class NewerArtifactError(ArtifactError):
    """A file in a newer format than this version reads."""


def save(path: Path, header: Header, arrays: Arrays) -> None:
    """Write an artifact atomically: readers see the old file or the new one.

    Args:
        path: File to write; missing folders are created.
        header: Metadata of the model.
        arrays: Arrays by name.
    """
    solid = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    text = msgspec.json.encode(header)
    metadata = {"format": str(header.format), "header": text.decode(), "sha256": _checksum(text, solid)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        partial_path = Path(file.name)
        try:
            tensors.save_file(solid, partial_path, metadata)  # without a copy of the arrays
            os.fsync(file.fileno())
            partial_path.replace(path)
        except BaseException:
            partial_path.unlink(missing_ok=True)
            raise


def load(path: Path) -> tuple[Header, dict[str, NDArray[Any]]]:
    """Read an artifact.

    Raises:
        FileNotFoundError: there is no such file.
        NotAnArtifactError: the file is no artifact.
        NewerArtifactError: a later version wrote it.
        DamagedArtifactError: the checksum differs.
    """
    metadata, arrays = _read(path)
    version = metadata.get("format", "")
    if not version.isdecimal() or not {"header", "sha256"} <= set(metadata):
        raise NotAnArtifactError(path, "a safetensors file, but not one of Millrace's artifacts")
    if int(version) > FORMAT:
        raise NewerArtifactError(path, f"format {version} is newer than {FORMAT}, the newest known here")
    text = metadata["header"].encode()
    if metadata["sha256"] != _checksum(text, arrays):
        raise DamagedArtifactError(path, "its content does not match its checksum")
    try:
        return msgspec.json.decode(text, type=Header), arrays
    except msgspec.DecodeError as error:
        raise NotAnArtifactError(path, f"its header cannot be read: {error}") from error


def read_header(path: Path) -> Header:
    """Read the header of an artifact without its arrays, and so without verifying the checksum.

    Raises:
        FileNotFoundError: there is no such file.
        NotAnArtifactError: the file is no artifact.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return msgspec.json.decode((file.metadata() or {}).get("header", ""), type=Header)
    except (SafetensorError, msgspec.DecodeError) as error:
        raise NotAnArtifactError(path, f"its header cannot be read: {error}") from error


def _read(path: Path) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise NotAnArtifactError(path, f"no safetensors file: {error}") from error


def _checksum(header: bytes, arrays: Arrays) -> str:
    digest = hashlib.sha256(header)
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\0{name}\0{array.dtype}\0{array.shape}\0".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()
