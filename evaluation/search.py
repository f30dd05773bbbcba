"""Evaluation of product search: queries of shoppers with rules for the relevant products.

The queries are in `queries.json`, each with the shopper's intent in words and as a checkable rule: a pattern of the
product name and a set of categories. A product that satisfies both is relevant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

TOP = 10


class Expectation(msgspec.Struct, frozen=True):
    """A query with its relevance rule."""

    query: str
    expects: str
    title: str
    """A regular expression for the product name; case is ignored."""
    filed: list[str]  # wire
    """Sub-categories, at least one of which a relevant product has."""

    def is_met(self, title: str, categories: Iterable[str]) -> bool:
        """Return whether a product is relevant."""
        return re.search(self.title, title, re.IGNORECASE) is not None and not set(self.filed).isdisjoint(categories)


class JudgedSearch(msgspec.Struct, frozen=True):
    """Metrics of the result of a query."""

    query: str
    expects: str
    relevant_count: int
    """Number of relevant products in the catalogue."""
    hit: float
    """1 when one of the first ten results is relevant, else 0."""
    precision: float
    ndcg: float


def expectations() -> list[Expectation]:
    """Return the queries."""
    data = Path(__file__).with_name("queries.json").read_bytes()
    return msgspec.json.decode(data, type=list[Expectation])


def judge(expected: Expectation, relevant_count: int, is_relevant: Sequence[bool]) -> JudgedSearch:
    """Return the metrics of the first ten results.

    Args:
        expected: The query with its rule.
        relevant_count: Number of relevant products in the catalogue.
        is_relevant: Relevance of each result, best first.
    """
    first = is_relevant[:TOP]
    gain = sum(1 / math.log2(2 + position) for position, relevant in enumerate(first) if relevant)
    best = sum(1 / math.log2(2 + position) for position in range(min(relevant_count, TOP)))
    return JudgedSearch(
        query=expected.query,
        expects=expected.expects,
        relevant_count=relevant_count,
        hit=float(any(first)),
        precision=sum(first) / TOP,
        ndcg=gain / best if best else 0.0,
    )
