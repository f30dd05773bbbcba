"""Snapshot store: the newest snapshots of the trainer as files, each with the offsets that it continues from."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import TopicPartition

from domain.state import State
from infra import clock
from models import artifact
from models.artifact import ArtifactError, Header
from streams.core.learning.learner import LearnerParams
from streams.core.learning.snapshot import Arrays, pack, unpack
from streams.core.ranking.pipeline import MODEL
from streams.core.ranking.ranking_query import CLASSES
from streams.core.ranking.stages.features import PRIOR
from streams.roles.trainer.model_version import name_of

STATE_FORMAT = 3
"""Version of the state in a snapshot; raised when a part, or its meaning, changes."""
KEPT = 2
"""Snapshots that are kept: the newest, and the one before for when it is damaged."""
Offsets = dict[TopicPartition, int]
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of the trainer at a time, and the next offset of each partition."""

    created_at_ms: int
    offsets: Offsets
    state: State


class SnapshotStore:
    """The newest snapshots, under MILLRACE_HOME/models/MODEL/snapshots.

    Args:
        home: The folder MILLRACE_HOME.
        params: The parameters of the learner; snapshots made with others are refused.
        source: Identity of the topics; snapshots of others are refused.
    """

    def __init__(self, home: Path, *, params: LearnerParams, source: str) -> None:
        self._folder = home.expanduser() / "models" / MODEL / "snapshots"
        self._last_ms = 0
        self._identity = {"parameters": fingerprint(params), "topics": source}

    def put(self, arrays: Arrays) -> int:
        """Save a packed snapshot, and delete all but the newest ones; return its size in bytes.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        self._last_ms = now_ms = max(clock.now_ms(), self._last_ms + 1)
        path = self._folder / f"{name_of(now_ms)}.safetensors"
        settings: dict[str, Any] = {**self._identity}
        artifact.save(path, Header(model=MODEL, version=path.stem, created_at_ms=now_ms, settings=settings), arrays)
        leftovers = [one for one in self._folder.iterdir() if one.name.startswith(".")]  # their writer was killed
        for one in (*leftovers, *self._paths()[KEPT:]):
            one.unlink(missing_ok=True)
        return path.stat().st_size

    def newest(self) -> Iterator[Snapshot]:
        """Yield the usable snapshots, newest first; the log names the reason why another is not used."""
        for path in self._paths():
            try:
                header = artifact.read_header(path)
                differences = [name for name, value in self._identity.items() if header.settings.get(name) != value]
                if differences:
                    _LOG.warning("the snapshot %s is not used: it is of other %s", path, " and ".join(differences))
                    continue
                yield unpacked(header, artifact.load(path)[1])
            except (ArtifactError, OSError, msgspec.MsgspecError, KeyError, ValueError) as error:
                _LOG.warning("the snapshot %s is not used: %s", path, error)

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("[!.]*.safetensors"), reverse=True) if self._folder.is_dir() else []


def packed(state: State, offsets: Mapping[TopicPartition, int]) -> Arrays:
    """Return a snapshot as arrays, which later changes of the state do not affect."""
    return pack({"state": state, "offsets": [(tp.topic, tp.partition, offset) for tp, offset in offsets.items()]})


def unpacked(header: Header, arrays: Arrays) -> Snapshot:
    """Return the snapshot of a file.

    Raises:
        KeyError: a part is missing.
        msgspec.DecodeError: the plain values cannot be read.
    """
    content = unpack(arrays)
    offsets = {TopicPartition(topic, partition): offset for topic, partition, offset in content["offsets"]}
    return Snapshot(header.created_at_ms, offsets, content["state"])


def fingerprint(params: LearnerParams) -> str:
    """Return a hash of all that decides what the state of a learner means.

    Parameters of the ranking and of triggers may change: the state does not depend on them.
    """
    user = {field.name: getattr(params.user, field.name) for field in dataclasses.fields(params.user)}
    del user["triggers"]
    meaning = (STATE_FORMAT, user, params.signal, params.cooccurrence_half_life_days, tuple(PRIOR), tuple(CLASSES))
    return hashlib.sha256(repr(meaning).encode()).hexdigest()[:16]
