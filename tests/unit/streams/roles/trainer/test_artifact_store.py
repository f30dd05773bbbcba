from __future__ import annotations

from pathlib import Path

import pytest

from infra.error import OperatorError
from infra.redis.stores.model_status import REFUSED, SERVING
from streams.core.ranking.pipeline import MODEL
from streams.roles.trainer.artifact_store import ArtifactStore
from streams.roles.trainer.candidate_fit import CandidateFit
from streams.roles.trainer.model_version import fitted
from tests.build import a_version


def test_the_shelf_keeps_the_newest_and_the_one_in_service(fit: CandidateFit, tmp_path: Path) -> None:
    shelf = ArtifactStore(tmp_path, artifacts_kept=2)
    for name in ("v1", "v2", "v3", "v4"):
        shelf.put(fitted(a_version(version=name), fit.learner), serving="v1")
    assert [version.version for version in shelf.versions()] == ["v4", "v3", "v1"]


def test_the_way_back_passes_over_refused_versions(fit: CandidateFit, tmp_path: Path) -> None:
    shelf = ArtifactStore(tmp_path, artifacts_kept=9)
    for name, status in (("v1", SERVING), ("v2", REFUSED), ("v3", SERVING)):
        shelf.put(fitted(a_version(version=name, status=status), fit.learner), serving=None)
    assert shelf.before("v3") == "v1"
    with pytest.raises(OperatorError, match="no version before v1"):
        shelf.before("v1")
    with pytest.raises(OperatorError, match="no version \\.\\./v1"):
        shelf.get("../v1")


def test_a_damaged_file_is_told_as_such(fit: CandidateFit, tmp_path: Path) -> None:
    shelf = ArtifactStore(tmp_path, artifacts_kept=9)
    shelf.put(fitted(a_version(), fit.learner), serving=None)
    (file,) = (tmp_path / "models" / MODEL).iterdir()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(OperatorError, match="cannot be used"):
        shelf.get("v1")
