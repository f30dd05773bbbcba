"""Artifacts come back as they were written, or say what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors import numpy as tensors

from models import artifact
from models.artifact import DamagedArtifactError, Header, NewerArtifactError, NotAnArtifactError

ARRAYS = {
    "items": np.arange(12, dtype=np.float32).reshape(3, 4),
    "counts": np.array([1, 2, 3], np.int64),
    "turned": np.arange(6, dtype=np.float64).reshape(2, 3).T,
}


def a_header(**overrides: object) -> Header:
    header = Header(
        model="bpr",
        version="bpr-7",
        created_at_ms=1_700_000_000_000,
        metrics={"ndcg_at_10": 0.1},
        settings={"factors": 4, "rate": 0.02, "tied": False},
        names={"items": ["a", "b", "ç"]},
    )
    return msgspec.structs.replace(header, **overrides)


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "bpr" / "7.safetensors"
    artifact.save(path, a_header(), ARRAYS)
    header, arrays = artifact.load(path)
    assert header == a_header()
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    artifact.save(path, a_header(), ARRAYS)
    before = path.read_bytes()
    with pytest.raises(SafetensorError, match="Unknown dtype"):
        artifact.save(path, a_header(version="bpr-8"), {"broken": np.array([object()])})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("nothing of the sort")
    with pytest.raises(NotAnArtifactError, match=r"notes\.txt: no safetensors file"):
        artifact.load(path)


def test_half_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    artifact.save(path, a_header(), ARRAYS)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(NotAnArtifactError):
        artifact.load(path)


def test_tensors_without_a_header_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(tensors.save({"a": np.zeros(2)}))
    with pytest.raises(NotAnArtifactError, match="not one of Millrace's"):
        artifact.load(path)


def test_a_format_of_the_future_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    artifact.save(path, a_header(format=artifact.FORMAT + 1), ARRAYS)
    with pytest.raises(NewerArtifactError, match=f"format {artifact.FORMAT + 1} is newer"):
        artifact.load(path)


def test_one_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    artifact.save(path, a_header(), ARRAYS)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedArtifactError):
        artifact.load(path)


def test_no_file_is_no_artifact_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        artifact.load(tmp_path / "nothing.safetensors")
