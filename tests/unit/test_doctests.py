"""The examples in docstrings run."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    *(
        "api",
        "bench",
        "checks",
        "cli",
        "client/src/millrace_client",
        "domain",
        "evaluation",
        "infra",
        "loaders",
        "models",
    ),
    *("portal", "schemas", "streams", "topics"),
)
MODULES = [
    path.relative_to((ROOT / package).parent).with_suffix("").as_posix().replace("/", ".")
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>> " in path.read_text()
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    result = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.attempted
    assert not result.failed
