"""The search of bytes and files: every spelling of an id is found once, wherever it lies."""

from __future__ import annotations

from pathlib import Path

import pytest
from cramjam import zstd
from hypothesis import given
from hypothesis import strategies as st

from infra.erasure.occurrences import file_search
from infra.erasure.occurrences.file_search import search_files
from infra.erasure.occurrences.id_pattern import IdPattern

PATTERN = IdPattern("alex/ö")


@pytest.mark.parametrize("data", ['"alex/ö"', '"alex/\\u00f6"', "GET /user/alex%2F%C3%B6", "\\x616c65782fc3b6"])
def test_an_id_is_found_as_other_encodings_write_it(data: str) -> None:
    assert PATTERN.count(data.encode()) == 1
    assert PATTERN.masked(data).count("{user}") == 1


def test_another_id_is_not_found() -> None:
    assert PATTERN.count(b"alex") == PATTERN.count(None) == PATTERN.count(b"") == 0


def test_an_id_is_found_in_what_is_compressed() -> None:
    data = b"v1" + bytes(zstd.compress(PATTERN.spellings[0] * 50))
    assert PATTERN.count(data) < PATTERN.count_unpacked(data) == 50
    assert PATTERN.count_unpacked(data[:12] + PATTERN.spellings[0]) == 1, "a frame that is broken"


@given(
    st.lists(st.sampled_from([b"alex/", "alex/ö".encode(), b"alex%2F%C3%B6", b"x" * 7]), max_size=12), st.integers(1, 9)
)
def test_occurrences_across_chunks_are_counted_once(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], chunk_bytes: int
) -> None:
    folder, data = tmp_path_factory.mktemp("files"), b"".join(parts)
    (folder / "file").write_bytes(data)
    result = search_files(folder, PATTERN, on_progress=lambda _count, _total: None, chunk_bytes=chunk_bytes)
    assert result.counts.total() == PATTERN.count(data)


def test_names_count_and_links_are_not_followed(tmp_path: Path) -> None:
    pattern, home = IdPattern("alex"), tmp_path / "home"
    (home / "of-alex").mkdir(parents=True)
    (home / "of-alex" / "file").write_bytes(b"\0alexalex\xff")
    (tmp_path / "outside").write_bytes(b"alex")
    (home / "link").symlink_to(tmp_path / "outside")
    steps: list[tuple[int, int]] = []
    result = search_files(home, pattern, on_progress=lambda *at: steps.append(at))
    assert (dict(result.counts), result.unread) == ({"of-{user}/file": 3}, [])
    assert steps == [(10, 10)]
    assert file_search.search_files(tmp_path / "nowhere", pattern, on_progress=lambda *_: None).counts == {}


def test_holes_are_passed_over(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        for start in (0, 64 << 20):
            file.seek(start)
            file.write(b"alex")
        file.truncate(1 << 40)
    assert search_files(tmp_path, IdPattern("alex"), on_progress=lambda *_: None).counts == {"sparse": 2}
