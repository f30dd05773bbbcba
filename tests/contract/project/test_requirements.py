"""docs/requirements.md is what it says: its form, its counts, and proofs that are there and run."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from cli.main import COMMANDS
from infra.settings import Settings, read_settings

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "requirements.md").read_text()
LINES = TEXT.splitlines()
STATES = ("works", "partly", "not yet")
DOCUMENTS = ("Content engine", "Personalization service", "Video engine", "Shop recommender", "Context IQ")
_SKIPPING = {"skip", "xfail"}
"""What keeps a test from running on a machine that has Chromium and all that `make test` installs."""
Test = ast.FunctionDef | ast.AsyncFunctionDef


def rows() -> Iterator[tuple[int, str, list[str]]]:
    """Yield the rows of all tables with their line numbers and documents."""
    document = ""
    for number, line in enumerate(LINES, 1):
        if line.startswith("## "):
            document = line.removeprefix("## ")
        elif document in DOCUMENTS and line.startswith("| ") and not line.startswith(("| what |", "| --- |")):
            yield number, document, [cell.strip() for cell in line.strip("|").split("|")]


def test_every_row_says_what_where_and_a_known_state() -> None:
    for number, _, cells in rows():
        assert len(cells) == 4, f"line {number}"
        what, where, state, _ = cells
        assert what, f"line {number}"
        assert where, f"line {number}"
        assert state in STATES, f"line {number}"


def test_only_what_is_proved_works() -> None:
    for number, _, (_, _, state, proof) in rows():
        assert bool(re.search(r"`[^`]+`", proof)) == (state != "not yet"), f"line {number}"


def test_no_row_is_there_twice() -> None:
    stated_counts = Counter((document, cells[0], cells[1]) for _, document, cells in rows())
    assert [row for row, times in stated_counts.items() if times > 1] == []


def test_the_counts_are_those_of_the_rows() -> None:
    counts_by_document = {document: Counter[str]() for document in (*DOCUMENTS, "all")}
    for _, document, (_, _, state, _) in rows():
        counts_by_document[document][state] += 1
        counts_by_document["all"][state] += 1
    table = [
        f"| {document} | {count['works']} | {count['partly']} | {count['not yet']} | {count.total()} |"
        for document, count in counts_by_document.items()
    ]
    assert "\n".join(table) in TEXT


DEFAULTS = {
    (name, default)
    for _, _, (what, _, state, _) in rows()
    for name, default in re.findall(r"`([A-Z][A-Z0-9_]+)`, `?([^\s`),]++)`?+(?! \(here: )", what)
    if state != "not yet" and default not in {"required", "optional"}
}
"""Settings whose default a row names, and that default."""


@pytest.mark.parametrize(("name", "default"), sorted(DEFAULTS))
def test_defaults_are_those_of_the_documents(name: str, default: str) -> None:
    assert read_settings({name: default}) == Settings()


PROOFS = sorted({proof for _, _, cells in rows() for proof in re.findall(r"`([^`]+)`", cells[3])})


@pytest.mark.parametrize("proof", PROOFS)
def test_every_proof_is_there_and_runs(proof: str) -> None:
    matches = re.fullmatch(r"(tests/[\w/]+\.py)(?:::(\w+))?|make (\w+).*|millrace ([\w-]+).*", proof)
    assert matches, "a proof is a test's path, a make target or a millrace command"
    path, name, target, command = matches.groups()
    if path:
        proving = collected(ROOT / path)
        if name is not None:
            proving = {name: proving[name]}
        assert proving
        assert not any(is_skipped(test) for test in proving.values()), "it is not always run"
    if target:
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    if command:
        assert command in COMMANDS


@cache
def collected(path: Path) -> Mapping[str, Test]:
    """Return the tests of a file that pytest collects, by name; none of a file that has a mark for skipping them."""
    module = ast.parse(path.read_text())
    if any(is_skipped(node) for node in module.body if isinstance(node, ast.Assign)):
        return {}
    return {node.name: node for node in module.body if isinstance(node, Test) and node.name.startswith("test_")}


def is_skipped(part: ast.AST) -> bool:
    """Say whether a test is marked as skipped or failing, or skips itself."""
    return any(isinstance(node, ast.Attribute) and node.attr in _SKIPPING for node in ast.walk(part))


def test_a_test_that_skips_itself_is_no_proof() -> None:
    tests = collected(ROOT / "tests" / "pipeline" / "catalog" / "test_catalogue_search.py")
    assert is_skipped(tests["test_distances_are_the_same_with_and_without_postgis"])
    assert not is_skipped(tests["test_without_words_the_newest_are_found"])
