import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "docs" / "requirements.md").read_text().splitlines()


def rows() -> Iterator[tuple[int, list[str]]]:
    """Return the rows of all tables with their line numbers."""
    for number, line in enumerate(LINES, 1):
        if line.startswith("| ") and not line.startswith(("| what |", "| --- |")):
            yield number, [cell.strip() for cell in line.strip("|").split("|")]


def test_every_row_says_what_where_and_a_known_state() -> None:
    for number, cells in rows():
        assert len(cells) == 4, f"line {number}"
        what, where, state, _ = cells
        assert what, f"line {number}"
        assert where, f"line {number}"
        assert state in {"works", "partly", "not yet"}, f"line {number}"


def test_only_what_is_proved_works() -> None:
    for number, (_, _, state, proof) in rows():
        assert bool(proof) == (state != "not yet"), f"line {number}"


PROOFS = sorted({proof for _, cells in rows() for proof in re.findall(r"`([^`]+)`", cells[3])})


@pytest.mark.parametrize("proof", PROOFS)
def test_every_proof_exists(proof: str) -> None:
    found = re.fullmatch(r"(tests/[\w/]+\.py)(?:::(\w+))?|make (\w+).*|millrace .+", proof)
    assert found, "a proof is a test's path, a make target or a millrace command"
    path, test, target = found.groups()
    if path:
        source = (ROOT / path).read_text()
        assert re.search(rf"def {test or 'test_'}", source)
    if target:
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
