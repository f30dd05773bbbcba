"""The check of sizes, on trees at and beyond its bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks.sizes import LINES, MODULES, breaches


def folder_of(root: Path, folder: str, *, modules: int) -> None:
    (root / folder).mkdir(parents=True)
    for name in ("__init__", *(f"module_{number}" for number in range(modules))):
        (root / folder / f"{name}.py").touch()


@pytest.mark.parametrize("folder", ["infra/kafka", "tests/unit/infra/kafka"])
def test_a_folder_may_be_full_and_no_fuller(tmp_path: Path, folder: str) -> None:
    folder_of(tmp_path, folder, modules=MODULES)
    assert list(breaches(tmp_path)) == []
    (tmp_path / folder / "one_more.py").touch()
    assert [path for path, _ in breaches(tmp_path)] == [folder]


def test_modules_of_folders_within_are_not_counted(tmp_path: Path) -> None:
    folder_of(tmp_path, "infra/kafka", modules=MODULES)
    folder_of(tmp_path, "infra/kafka/readers", modules=MODULES)
    assert list(breaches(tmp_path)) == []


@pytest.mark.parametrize("name", ["api/context.py", "portal/home.js", "tests/portal/test_page.py"])
def test_a_file_may_be_full_and_no_fuller(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text("\n" * LINES)
    assert list(breaches(tmp_path)) == []
    path.write_text("\n" * (LINES + 1))
    assert [one for one, _ in breaches(tmp_path)] == [name]


def test_a_generated_file_has_any_length(tmp_path: Path) -> None:
    folder_of(tmp_path, "schemas", modules=0)
    (tmp_path / "schemas" / "types.py").write_text('"""Made by a program, do not edit."""\n' + "\n" * LINES)
    assert list(breaches(tmp_path)) == []
