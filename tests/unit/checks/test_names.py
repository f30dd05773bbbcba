"""The check of names: arguments that docstrings describe, and bare participles."""

from __future__ import annotations

import ast
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


def test_arguments_that_exist_are_no_breach() -> None:
    assert list(_stale_arguments(ast.parse(SOURCE))) == []


@pytest.mark.parametrize("name", ["query", "items", "limit", "options"])
def test_an_argument_that_was_renamed_and_not_its_description_is_a_breach(name: str) -> None:
    source = SOURCE.replace("query, *items, limit=1, **options", "text, *rows, most=1, **more")
    assert name in {stale for _, stale in _stale_arguments(ast.parse(source))}


def test_the_arguments_of_a_class_are_those_of_its_init() -> None:
    source = SOURCE.replace("__init__(self, query)", "__init__(self, text)")
    assert [name for _, name in _stale_arguments(ast.parse(source))] == ["query"]


@pytest.mark.parametrize("source", ["told = 1", "def f(told): pass", "for told in (): pass", "self._told = 1"])
def test_a_bare_participle_is_a_breach_wherever_it_is_bound(source: str) -> None:
    assert len(list(_participles(Path("tests/test_x.py"), ast.parse(source), [source]))) == 1


@pytest.mark.parametrize("source", ["told_items = 1", "print(told)", "told: int = 1  # wire"])
def test_compounds_uses_and_wire_names_are_no_breach(source: str) -> None:
    assert list(_participles(Path("tests/test_x.py"), ast.parse(source), [source])) == []
