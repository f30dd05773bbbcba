from __future__ import annotations

from pathlib import Path

import pytest

from infra.error import OperatorError
from infra.redis.stores.model_status import REFUSED, SERVING
from infra.settings import read_settings
from streams.core.ranking.pipeline import MODEL
from streams.roles.trainer.artifact_store import ArtifactStore
from streams.roles.trainer.candidate_fit import CandidateFit
from streams.roles.trainer.model_version import fitted_version
from tests.build import a_version


def test_the_shelf_keeps_the_newest_and_the_one_in_service(fit: CandidateFit, tmp_path: Path) -> None:
    shelf = ArtifactStore(tmp_path, artifacts_kept=2)
    for name in ("v1", "v2", "v3", "v4"):
        shelf.put(fitted_version(a_version(version=name), fit.learner), serving="v1")
    assert [version.version for version in shelf.versions()] == ["v4", "v3", "v1"]


def test_the_way_back_passes_over_refused_versions(fit: CandidateFit, tmp_path: Path) -> None:
    shelf = ArtifactStore(tmp_path, artifacts_kept=9)
    for name, status in (("v1", SERVING), ("v2", REFUSED), ("v3", SERVING)):
        shelf.put(fitted_version(a_version(version=name, status=status), fit.learner), serving=None)
    assert shelf.before("v3") == "v1"
    with pytest.raises(OperatorError, match="no version before v1"):
        shelf.before("v1")
    with pytest.raises(OperatorError, match="no version \\.\\./v1"):
        shelf.get("../v1")


def test_a_damaged_file_is_reported_as_damaged(fit: CandidateFit, tmp_path: Path) -> None:
    shelf = ArtifactStore(tmp_path, artifacts_kept=9)
    shelf.put(fitted_version(a_version(), fit.learner), serving=None)
    (file,) = (tmp_path / MODEL).iterdir()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(OperatorError, match="cannot be used"):
        shelf.get("v1")


def test_versions_are_in_the_folder_that_is_set(fit: CandidateFit, tmp_path: Path) -> None:
    for names, folder in (
        ({"MILLRACE_HOME": str(tmp_path)}, tmp_path / "models"),
        ({"MILLRACE_HOME": str(tmp_path), "MODEL_PATH": str(tmp_path / "elsewhere")}, tmp_path / "elsewhere"),
    ):
        settings = read_settings(names)
        shelf = ArtifactStore(settings.model_folder, artifacts_kept=1)
        shelf.put(fitted_version(a_version(version="v1"), fit.learner), serving=None)
        assert [path.name for path in (folder / MODEL).iterdir()] == ["v1.safetensors"]
