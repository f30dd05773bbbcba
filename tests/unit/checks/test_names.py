"""The check of names: each of its rules."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from checks.names import _participles, _stale_arguments

SOURCE = '''
def described(query, *items, limit=1, **options):
    """Search.

    Args:
        query: The query.
        items: The items
            to search: all of them.
        limit: Number of results.
        options: Further options.

    Returns:
        nothing: at all.
    """


class Search:
    """A search.

    Args:
        query: The query.
    """

    def __init__(self, query):
        pass
'''


ROOT = Path(__file__).parents[3]


def breaches(root: Path, **modules: str) -> list[str]:
    """Return the lines that the command writes for a tree with some modules, whose names have `__` in place of `/`."""
    (root / "checks").mkdir()
    shutil.copy(ROOT / "checks" / "names.py", root / "checks")
    for name, source in modules.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    process = subprocess.run(
        [sys.executable, "-m", "checks.names"], cwd=root, capture_output=True, text=True, check=False
    )
    lines = process.stdout.splitlines()
    assert process.returncode == bool(lines), process.stderr
    return lines


def test_two_classes_of_one_name_are_a_breach_but_for_the_client(tmp_path: Path) -> None:
    source = "class Feed: ..."
    assert breaches(tmp_path, api__one=source, models__other=source, client__feed=source) == [
        "api/one.py:1: 2 classes are called Feed",
        "models/other.py:1: 2 classes are called Feed",
    ]


def test_two_modules_of_one_name_in_one_package_are_a_breach(tmp_path: Path) -> None:
    assert breaches(tmp_path, api__feed="", api__http__feed="", models__feed="", api__a____init__="") == [
        "api/feed.py:1: api has 2 modules called feed.py",
        "api/http/feed.py:1: api has 2 modules called feed.py",
    ]


def test_a_bare_participle_is_a_breach_and_a_wire_name_is_none(tmp_path: Path) -> None:
    assert breaches(tmp_path, api__one="told = 1\ntold_items = 1\nseen = 1  # wire", schemas__types="seen = 1") == [
        "api/one.py:1: told is a bare participle: name the thing"
    ]


UNDESCRIBED = """
def both(one, other): ...
def single(one): ...
def _private(one, other): ...
class Model:
    def __init__(self, size): ...
class Options:
    def __init__(self, *, size): ...
class Several:
    def __init__(self, one, other): ...
class Described:
    '''A model.

    Args:
        size: The size.
    '''
    def __init__(self, *, size): ...
class BadSizeError(Exception):
    def __init__(self, one, other): ...
"""


def test_arguments_are_to_be_described_in_the_packages_of_the_rule(tmp_path: Path) -> None:
    assert breaches(tmp_path, models__one=UNDESCRIBED, api__one="def both(one, other): ...") == [
        "models/one.py:2: both takes 2 arguments and describes none",
        "models/one.py:8: Options takes 1 arguments and describes none",
        "models/one.py:10: Several takes 2 arguments and describes none",
    ]


def test_a_docstring_that_begins_with_a_clause_is_a_breach(tmp_path: Path) -> None:
    source = 'def f():\n    """Return what it is."""\n\nLIMIT = 1\n"""How many there are."""\n"""A whole."""\n'
    assert breaches(tmp_path, api__one=source) == [
        "api/one.py:2: a docstring begins with 'Return': begin with a noun or a verb",
        "api/one.py:5: a docstring begins with 'How': begin with a noun or a verb",
    ]


def test_arguments_that_exist_are_no_breach() -> None:
    assert list(_stale_arguments(ast.parse(SOURCE))) == []


@pytest.mark.parametrize("name", ["query", "items", "limit", "options"])
def test_an_argument_that_was_renamed_and_not_its_description_is_a_breach(name: str) -> None:
    source = SOURCE.replace("query, *items, limit=1, **options", "text, *rows, most=1, **more")
    assert name in {stale for _, stale in _stale_arguments(ast.parse(source))}


def test_the_arguments_of_a_class_are_those_of_its_init() -> None:
    source = SOURCE.replace("__init__(self, query)", "__init__(self, text)")
    assert [name for _, name in _stale_arguments(ast.parse(source))] == ["query"]


@pytest.mark.parametrize(
    "source",
    [
        "told = 1",
        "changed = 1",
        "unseen = 1",
        "def f(stored): pass",
        "for told in (): pass",
        "self._told = 1",
        "try: pass\nexcept ValueError as raised: pass",
        "match 1:\n    case taken: pass",
    ],
)
def test_a_bare_participle_is_a_breach_wherever_it_is_bound(source: str) -> None:
    assert len(list(_participles(Path("tests/test_x.py"), ast.parse(source), source.splitlines()))) == 1


@pytest.mark.parametrize(
    "source",
    [
        *("told_items = 1", "is_changed = 1", "print(told)", "told: int = 1  # wire"),
        *("other.acked = 1", "feed = 1", "read = 1", "expected = 1"),
    ],
)
def test_compounds_uses_nouns_and_wire_names_are_no_breach(source: str) -> None:
    assert list(_participles(Path("tests/test_x.py"), ast.parse(source), [source])) == []
