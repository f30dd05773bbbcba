"""Deleted keys of a table leave its files; the manifest may name the first key of a former file until a restart."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from rocksdict import Options, Rdict

from streams.transport import purge


def files_with(folder: Path, needle: bytes) -> list[str]:
    paths = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith("MANIFEST")]
    return [path.name for path in paths if needle in path.read_bytes()]


@pytest.mark.parametrize("is_old", [True, False], ids=["from a file that was compacted before", "from memory"])
async def test_a_purged_key_is_in_no_file(tmp_path: Path, is_old: bool) -> None:
    database = Rdict(str(tmp_path), options=Options(raw_mode=True))
    for number in range(50):
        database[b"a-%d" % number] = database[b"z-%d" % number] = b"x" * 50
    database[b"erase-me"] = b"what erase-me did"
    if is_old:
        database.flush()
        database.compact_range(None, None)
    assert files_with(tmp_path, b"erase-me")
    del database[b"erase-me"]
    await purge(SimpleNamespace(data=SimpleNamespace(_db_for_partition=lambda _: database)), 3, [b"erase-me"])
    assert files_with(tmp_path, b"erase-me") == []
    assert database[b"a-7"] == database[b"z-7"] == b"x" * 50
    database.close()


async def test_a_table_in_memory_has_no_files() -> None:
    await purge(SimpleNamespace(data={}), 3, [b"erase-me"])
