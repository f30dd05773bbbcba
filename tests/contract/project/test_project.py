"""What a checkout of the project holds, and what `make clean` leaves of it."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from infra.settings import Settings

ROOT = Path(__file__).parents[3]
PROPERTIES = {
    *{"name", "image", "remoteUser", "capAdd", "hostRequirements", "customizations"},
    *{"onCreateCommand", "postCreateCommand", "forwardPorts", "portsAttributes", "otherPortsAttributes"},
}
"""The properties of the development container specification that are in use; a reader ignores misspelt ones."""


def test_all_data_of_the_local_stack_can_be_removed(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in (
        ".millrace/postgresql/data",
        ".millrace/redis/dump.rdb",
        ".venv/bin/python",
        "api/__pycache__/a.pyc",
        "site/a.html",
    ):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (tmp_path / "api" / "app.py").touch()
    (tmp_path / ".env").touch()
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True)
    leftovers = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert leftovers == [".env", "Makefile", "api/app.py"]


def test_the_licence_is_mit() -> None:
    assert (ROOT / "LICENSE").read_text().startswith("MIT License\n")
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"] == "MIT"


def development_container() -> dict[str, Any]:
    text = (ROOT / ".devcontainer" / "devcontainer.json").read_text()
    return json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))  # the format is JSON with comments


def test_the_development_container_installs_by_a_target_of_the_makefile() -> None:
    container = development_container()
    assert set(container) <= PROPERTIES
    program, target = container["postCreateCommand"].split()
    assert program == "make"
    subprocess.run(["make", "--dry-run", "--always-make", target], cwd=ROOT, check=True, capture_output=True)


def test_the_development_container_has_a_python_that_the_project_supports() -> None:
    image = re.fullmatch(r".+/python:(3\.\d+)-\w+", development_container()["image"])
    assert image is not None
    assert f"python{image[1]}" in (ROOT / "Makefile").read_text()


def test_the_development_container_forwards_the_api_and_nothing_else() -> None:
    container = development_container()
    assert container["forwardPorts"] == [Settings().api_port]
    assert set(container["portsAttributes"]) == {str(Settings().api_port)}
    assert container["otherPortsAttributes"] == {"onAutoForward": "ignore"}
    assert Settings().api_host == "127.0.0.1"
