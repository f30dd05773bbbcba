"""Artifact store: one file per model version, in a folder with the name of the model."""

from __future__ import annotations

import re
from pathlib import Path

from infra.error import OperatorError
from infra.redis.stores.model_status import NEVER_SERVED, Version
from models import artifact
from models.artifact import ArtifactError
from streams.core.ranking.pipeline import MODEL
from streams.roles.trainer.model_version import FittedVersion, of_artifact, of_header, to_artifact

_VERSION = re.compile(r"[\w.-]+")


class ArtifactStore:
    """The newest versions of the model.

    Args:
        folder: The folder of all models (`MODEL_PATH`).
        artifacts_kept: Number of versions to keep.
    """

    def __init__(self, folder: Path, *, artifacts_kept: int) -> None:
        self._folder = folder / MODEL
        self._artifacts_kept = artifacts_kept

    def put(self, fitted_version: FittedVersion, *, serving: str | None) -> None:
        """Save a version, and delete the oldest ones, but never the version `serving`."""
        artifact.save(self._path(fitted_version.version.version), *to_artifact(fitted_version))
        for path in sorted(self._paths(), reverse=True)[self._artifacts_kept :]:
            if path.stem not in (serving, fitted_version.version.version):
                path.unlink(missing_ok=True)

    def versions(self) -> list[Version]:
        """Return the stored versions, newest first; unreadable files are left out."""
        versions = []
        for path in sorted(self._paths(), reverse=True):
            try:
                versions.append(of_header(artifact.read_header(path)))
            except (ArtifactError, FileNotFoundError):
                continue
        return versions

    def get(self, version: str) -> FittedVersion:
        """Return a version.

        Raises:
            OperatorError: the version does not exist or is unusable.
        """
        if not _VERSION.fullmatch(version) or not self._path(version).is_file():
            names = ", ".join(one.version for one in self.versions()) or "none"
            raise OperatorError(
                f"There is no version {version} in {self._folder}.", f"The stored versions are {names}."
            )
        try:
            return of_artifact(*artifact.load(self._path(version)))
        except (ArtifactError, KeyError) as error:
            raise OperatorError(f"Version {version} cannot be used: {error}", "Choose another.") from error

    def before(self, version: str | None) -> str:
        """Return the name of the newest version before another one that may serve.

        Raises:
            OperatorError: there is no such version.
        """
        for one in self.versions():
            if one.status not in NEVER_SERVED and (version is None or one.version < version):
                return one.version
        raise OperatorError(f"There is no version before {version or 'the first'}.", "See millrace models.")

    def _path(self, version: str) -> Path:
        return self._folder / f"{version}.safetensors"

    def _paths(self) -> list[Path]:
        return list(self._folder.glob("*.safetensors")) if self._folder.is_dir() else []
