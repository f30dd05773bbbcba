"""Encoder store: the newest versions of a network as files, from which learning goes on after a restart."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from numpy.typing import NDArray

from models import artifact
from models.artifact import ArtifactError, Header

KEPT = 2
"""Versions that are kept: the newest, and the one before for when it is damaged."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredEncoder:
    """The state of a network when a version of it was promoted."""

    version: str
    created_at_ms: int
    items: Sequence[str]
    """Ids of the items in its tables."""
    state: Mapping[str, NDArray[Any]]
    offsets: Mapping[int, int]
    """The next offset of each partition of interactions."""


class EncoderStore:
    """The newest versions, in the folder encoder/MODEL of all models.

    Args:
        folder: The folder of all models (`MODEL_PATH`).
        model: Name of the network.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self._model, self._folder = model, folder / "encoder" / model

    def put(self, stored_encoder: StoredEncoder) -> None:
        """Save a version, and delete all but the newest ones."""
        offsets = msgspec.json.encode({str(partition): offset for partition, offset in stored_encoder.offsets.items()})
        header = Header(
            model=self._model,
            version=stored_encoder.version,
            created_at_ms=stored_encoder.created_at_ms,
            settings={"offsets": offsets.decode()},
            names={"items": list(stored_encoder.items)},
        )
        artifact.save(self._folder / f"{stored_encoder.version}.safetensors", header, stored_encoder.state)
        for path in self._paths()[KEPT:]:
            path.unlink(missing_ok=True)

    def newest(self) -> Iterator[StoredEncoder]:
        """Yield the usable versions, newest first; the log names the reason why another is not used."""
        for path in self._paths():
            try:
                header, state = artifact.load(path)
                offsets = msgspec.json.decode(str(header.settings["offsets"]), type=dict[str, int])
                yield StoredEncoder(
                    header.version,
                    header.created_at_ms,
                    header.names["items"],
                    state,
                    {int(partition): offset for partition, offset in offsets.items()},
                )
            except (ArtifactError, OSError, msgspec.MsgspecError, KeyError, ValueError) as error:
                _LOG.warning("the network in %s is not used: %s", path, error)

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("[!.]*.safetensors"), reverse=True) if self._folder.is_dir() else []
