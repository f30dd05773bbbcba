"""Every recipe of CONTRIBUTING.md works as it is written, in a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.project import recipes

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = recipes.read(DOCUMENT)
CHECKS = (
    "ruff check {paths}",
    "ruff format --check {paths}",
    "lint-imports --no-logo",
    "python -m checks.names",
    "python -m checks.sizes",
    "python -m schemas.generate --check",
    "python docs/generate.py --check",
    "python -m mypy --cache-dir {cache} {product}",
)
"""The parts of `make check`, over the files of the recipe where a part takes files."""
TOGETHER = (
    *(
        "streams/core/ranking",
        "streams/core/item",
        "schemas",
        "topics",
        "api/openapi",
        "cli/commands/stack/test_worker_roles.py",
    ),
)
"""Unit tests that hold a change to all of its places, such as the label of each feature group."""
CONTRACTS = ("test_labels", "test_settings_names", "test_setting_defaults", "test_compose")


def run(command: str, folder: Path) -> str:
    """Run a command in a folder, whose packages come before those that are installed; return its output."""
    env = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # the other plugins take half the time of a short run
        "PYTEST_PLUGINS": "pytest_asyncio.plugin",
    }
    process = subprocess.run(["sh", "-c", command], cwd=folder, env=env, capture_output=True, text=True, check=False)
    output = f"{process.stdout}{process.stderr}"
    assert process.returncode == 0, f"{command}\n{output}"
    return output


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for the type checker, since the copies differ in a few files only."""
    return tmp_path_factory.mktemp("types")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the files under version control."""
    names = run("git ls-files -z --cached --others --exclude-standard", ROOT).rstrip("\0").split("\0")
    for name in names:
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_tables_name_files_that_exist() -> None:
    before_recipes = DOCUMENT.partition("\n## Recipes\n")[0]
    folders = re.findall(r"^\| `([a-z_/]+/)`", before_recipes, re.MULTILINE)
    modules = re.findall(r"`([a-z_]+(?:/[a-z_]+)+(?:/|\.py))`", before_recipes)
    paths = [*folders, *modules]
    assert len(paths) > 40
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_there_is_a_recipe_for_each_kind_of_change() -> None:
    kinds = {"A ranking feature", "An item statistic", "A topic", "A model", "An endpoint", "A role", "A setting"}
    assert set(RECIPES) == kinds


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_a_recipe_works_as_it_is_written(recipe: recipes.Recipe, tree: Path, cache: Path) -> None:
    for step in recipe.steps:
        step.apply(tree)
    for command in recipe.commands:
        run(command, tree)
    assert str(tree) in run("python -c 'import streams; print(streams.__path__)'", tree)
    sources = [path for path in recipe.paths if path.endswith(".py")]
    product = [path for path in sources if not path.startswith("tests/")]
    for check in CHECKS:
        run(check.format(paths=" ".join(sources), product=" ".join(product) or "topics", cache=cache), tree)
    assert [path for path in recipe.paths if path.startswith("tests/unit/")], "a recipe has a test of its own"


def test_the_tests_of_other_places_pass_with_all_recipes_together(tree: Path) -> None:
    for recipe in RECIPES.values():
        for step in recipe.steps:
            step.apply(tree)
    generators = {command for recipe in RECIPES.values() for command in recipe.commands if "pytest" not in command}
    for command in sorted(generators, key=lambda command: "schemas" not in command):  # all else reads these types
        run(command, tree)
    paths = [f"tests/unit/{path}" for path in TOGETHER] + [f"tests/contract/project/{name}.py" for name in CONTRACTS]
    run(f"python -m pytest -q -p no:cacheprovider {' '.join(paths)}", tree)


def test_constants_that_the_document_names_exist() -> None:
    """Former names of settings do not count: `RENAMED` lists them."""
    names = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", DOCUMENT))
    sources = subprocess.run(
        ["git", "grep", "-hE", "|".join(names), "--", "*.py", ".env.example", ":!tests"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    current = re.sub(r'^ *"[A-Z_]+": "[A-Z_]+",?$', "", sources, flags=re.MULTILINE)
    assert len(names) > 8
    assert names - set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", current)) == set()
