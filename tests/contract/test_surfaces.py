"""docs/surfaces.md says where each document's endpoint is: there is one, and a test that proves it."""

import re
from collections.abc import Iterator

import pytest

from api.app import endpoints
from api.context import Clients, Context
from api.metrics import Metrics
from infra.feed_store import MemoryFeedStore
from infra.item_store import ItemCache, MemoryItemStore
from infra.memory import MemoryPublisher
from infra.settings import Settings
from tests.contract.test_requirements import ROOT

OUTSIDE = {"/docs", "/redoc", "/"}
"""Pages, which are no endpoints."""


def rows() -> Iterator[tuple[str, str, str]]:
    """Return the endpoint, the place and the proof of each row."""
    for line in (ROOT / "docs" / "surfaces.md").read_text().splitlines():
        if line.startswith("| `"):
            endpoint, where, proof = (cell.strip() for cell in line.strip("|").split(" | "))
            yield endpoint.strip("`"), where.strip("`"), proof


def served() -> set[tuple[str, str]]:
    """Return the method and path of every endpoint."""
    items = MemoryItemStore()
    clients = Clients(publisher=MemoryPublisher(), feeds=MemoryFeedStore(), items=items)
    context = Context(Settings(), clients, Metrics(), ItemCache(items))
    return {(one.method, one.path.replace(":path}", "}")) for one in endpoints(context)}


@pytest.mark.parametrize(("endpoint", "where", "proof"), list(rows()))
def test_every_endpoint_of_the_documents_is_there_and_proved(endpoint: str, where: str, proof: str) -> None:
    method = endpoint.split(" ")[0].strip("`")
    assert where in OUTSIDE or (method, where) in served()
    proofs = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", proof)
    assert proofs
    for path, test in proofs:
        assert f"def {test}(" in (ROOT / path).read_text()
