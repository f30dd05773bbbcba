"""docs/compat.md says where each document's endpoint is: there is one, and a test that proves it."""

import re
from collections.abc import Iterator

import pytest

from api.app import endpoints
from api.security.guard import Guard
from tests.contract.project.test_requirements import ROOT
from tests.unit.api.builder import a_context

OUTSIDE = {"/docs", "/redoc", "/"}
"""Pages, which are no endpoints."""


def rows() -> Iterator[tuple[str, str, str]]:
    """Return the endpoint, the place and the proof of each row."""
    for line in (ROOT / "docs" / "compat.md").read_text().splitlines():
        if line.startswith("| `"):
            endpoint, where, proof = (cell.strip() for cell in line.strip("|").split(" | "))
            yield endpoint.strip("`"), where.strip("`"), proof


def served() -> set[tuple[str, str]]:
    """Return the method and path of every endpoint."""
    context = a_context()
    return {(one.method, one.path) for one in endpoints(context, Guard(context))}


@pytest.mark.parametrize(("endpoint", "where", "proof"), list(rows()))
def test_every_endpoint_of_the_documents_is_there_and_proved(endpoint: str, where: str, proof: str) -> None:
    method = endpoint.split(" ", maxsplit=1)[0].strip("`")
    assert where in OUTSIDE or (method, where) in served()
    proofs = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", proof)
    assert proofs
    for path, test in proofs:
        assert f"def {test}(" in (ROOT / path).read_text()
