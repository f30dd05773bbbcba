"""The pure parts of the role encoder, and its settings."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from aiokafka import TopicPartition

from infra.error import OperatorError
from infra.settings import Settings
from streams.roles.encoder.encoder_role import newest_offsets, run
from streams.roles.encoder.encoder_store import KEPT, EncoderStore, StoredEncoder
from streams.runtime import encoder_models
from streams.runtime.encoder_models import ENCODER_MODELS, encoder_builder


def test_the_newest_records_are_the_same_share_of_each_partition() -> None:
    one, other = TopicPartition("t", 0), TopicPartition("t", 1)
    assert newest_offsets({one: 100, other: 0}, {one: 400, other: 100}, 200) == {one: 250, other: 50}
    assert newest_offsets({one: 100, other: 0}, {one: 400, other: 100}, 1_000) == {one: 100, other: 0}
    assert newest_offsets({one: 5, other: 0}, {one: 5, other: 0}, 10) == {one: 5, other: 0}


def a_stored_encoder(version: str) -> StoredEncoder:
    return StoredEncoder(version, 7, ["i1", "Ü"], {"item.weight": np.eye(2, dtype=np.float32)}, {0: 3, 11: 10**12})


def test_a_network_goes_through_a_file_unchanged_and_the_newest_are_kept(tmp_path: Path) -> None:
    store = EncoderStore(tmp_path, "sequence")
    for number in range(KEPT + 2):
        store.put(a_stored_encoder(f"v{number}"))
    newest = list(store.newest())
    assert [one.version for one in newest] == ["v3", "v2"]
    first = newest[0]
    assert (first.created_at_ms, first.items, first.offsets) == (7, ["i1", "Ü"], {0: 3, 11: 10**12})
    np.testing.assert_array_equal(first.state["item.weight"], np.eye(2))
    assert not list(EncoderStore(tmp_path, "deep").newest())


def test_a_damaged_file_gives_way_to_the_one_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = EncoderStore(tmp_path, "sequence")
    store.put(a_stored_encoder("v1"))
    store.put(a_stored_encoder("v2"))
    (tmp_path / "encoder" / "sequence" / "v2.safetensors").write_bytes(b"damage")
    assert [one.version for one in store.newest()] == ["v1"]
    assert "v2.safetensors is not used" in caplog.text


def test_without_a_network_the_role_has_nothing_to_run() -> None:
    with pytest.raises(OperatorError, match=r"ENCODER names no network to learn.\nSet it to one of sequence, deep, "):
        asyncio.run(run(Settings(), asyncio.Event()))


def test_without_torch_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_models, "find_spec", lambda name: None)
    assert encoder_builder(Settings()) is None
    with pytest.raises(OperatorError, match=r"ENCODER=deep needs torch.*\nRun pip install 'millrace\[train\]'"):
        encoder_builder(Settings(encoder="deep"))


@pytest.mark.parametrize("name", list(ENCODER_MODELS))
def test_every_network_is_built_with_the_settings(name: str) -> None:
    pytest.importorskip("torch")
    build = encoder_builder(Settings(encoder=name, embedding_dim=16, batch_size=8, learning_rate=0.5))
    assert build is not None
    model = build()
    assert model.name == name
    widths = {"sequence": 65, "deep": 17, "lightgcn": 129, "dot-product": 17}
    assert model.export().vectors.shape == (0, widths[name])
