"""The client's wheel, installed alone: it holds what users need, runs without the project, and brings its types."""

import asyncio
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest
import setuptools

from millrace_client import __version__
from tests.build import a_feed
from tests.unit.api.builder import World
from tests.unit.client.server import served
from tests.unit.client.test_readme import EXAMPLES
from topics.topic import INTERACTIONS

ROOT = Path(__file__).parents[3]
OURS = sorted({path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"})
INFO = f"millrace_client-{__version__}.dist-info"
USE = """
import importlib.util, sys
from millrace_client import Interaction, Millrace

url, *ours = sys.argv[1:]
assert [name for name in ours if importlib.util.find_spec(name)] == []
with Millrace(url) as millrace:
    print(*millrace.publish(Interaction(user_id="ann", item_id="i1", action="click")), millrace.feed("ann").user_id)
"""
MISUSE = """\
from millrace_client import AsyncMillrace, Interaction, Millrace
Interaction(user_id="ann", item_id="i1")
Millrace(timeout_s="2 s")
Millrace().feed("ann").items[0].score.upper()
AsyncMillrace().feed("ann").age_ms
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command and return its output, on failure also that of its errors."""
    process = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    return process.stdout + (process.stderr if process.returncode else "")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the distribution's folder alone."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "client", folder / "client", ignore=shutil.ignore_patterns("build", "*.egg-info"))
    options = ("--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", ".")
    output = run(sys.executable, "-m", "pip", "wheel", *options, "./client", cwd=folder)
    [path] = folder.glob("*.whl") or pytest.fail(output)
    return path


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel and its dependencies, and without the project."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    [packages] = folder.glob("lib/python*/site-packages")
    # Path files in an added folder are not read, so that editable installations stay out.
    (packages / "dependencies.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n")
    options = ("--no-index", "--no-deps", "--target", packages)
    run(sys.executable, "-m", "pip", "install", *options, wheel, cwd=folder)
    return folder / "bin" / "python"


def test_the_wheel_holds_the_package_with_its_types_and_its_licence(wheel: Path) -> None:
    package = ROOT / "client" / "src" / "millrace_client"
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = HeaderParser().parsestr(archive.read(f"{INFO}/METADATA").decode())
        licence = archive.read(f"{INFO}/licenses/LICENSE").decode()
    modules = {f"millrace_client/{path.name}" for path in package.iterdir() if path.is_file()}
    assert {name for name in names if not name.startswith(INFO)} == modules >= {"millrace_client/py.typed"}
    assert licence == (ROOT / "LICENSE").read_text()
    assert (metadata["Name"], metadata["Version"]) == ("millrace-client", __version__)
    assert metadata["License-Expression"] == "MIT"
    requirements = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert re.findall(r"^[\w-]+", "\n".join(requirements), re.MULTILINE) == ["httpx2", "msgspec"]


def test_the_projects_own_distribution_leaves_the_client_out() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    packages = setuptools.find_namespace_packages(str(ROOT), **options)
    assert {package.partition(".")[0] for package in packages} == set(OURS) - {"checks"}


async def test_the_wheel_works_where_nothing_else_of_the_project_is(python: Path, tmp_path: Path) -> None:
    world = World()
    await world.feeds.write([a_feed(user_id="ann")])
    async with served(world) as (url, _):
        output = await asyncio.to_thread(run, python, "-I", "-c", USE, url, *OURS, cwd=tmp_path)
    assert output.split() == [*(event.event_id for event in world.publisher.values_of(INTERACTIONS)), "ann"]


def test_mypy_sees_the_types_of_the_wheel(python: Path, tmp_path: Path) -> None:
    for number, example in enumerate(EXAMPLES):
        (tmp_path / f"example_{number}.py").write_text(example)
    (tmp_path / "misuse.py").write_text(MISUSE)
    options = ("--strict", "--no-error-summary", "--python-executable", python)
    output = run(sys.executable, "-m", "mypy", *options, ".", cwd=tmp_path)
    assert re.findall(r"^(.+): error: .*\[(.+)\]$", output, re.MULTILINE) == [
        ("misuse.py:2", "call-arg"),
        ("misuse.py:3", "arg-type"),
        ("misuse.py:4", "attr-defined"),
        ("misuse.py:5", "attr-defined"),
    ], output
