"""How well products are found: queries of shoppers, and which products they would have meant.

The queries are in `queries.json`, each with what a shopper expects in words, and as a rule that can be checked: what
the name tells and what the product is filed under. A product that keeps both is what was meant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

TOP = 10


class Expectation(msgspec.Struct, frozen=True):
    """A query, and what is expected of it."""

    query: str
    expects: str
    title: str
    """A regular expression, whatever the case."""
    filed: list[str]
    """Sub-categories, one of which it should be in."""

    def is_met(self, title: str, filed: Iterable[str]) -> bool:
        """Return whether a product is what was meant."""
        return re.search(self.title, title, re.IGNORECASE) is not None and not set(self.filed).isdisjoint(filed)


class JudgedSearch(msgspec.Struct, frozen=True):
    """How a query was answered."""

    query: str
    expects: str
    meant: int
    """How many products are what was meant."""
    hit: float
    """1 when one of the first ten is."""
    precision: float
    ndcg: float


def expectations() -> list[Expectation]:
    """Return the queries."""
    data = Path(__file__).with_name("queries.json").read_bytes()
    return msgspec.json.decode(data, type=list[Expectation])


def judge(expected: Expectation, meant: int, is_relevant: Sequence[bool]) -> JudgedSearch:
    """Judge an answer by which of the first ten were meant, given how many could have been."""
    first = is_relevant[:TOP]
    gained = sum(1 / math.log2(2 + position) for position, relevant in enumerate(first) if relevant)
    best = sum(1 / math.log2(2 + position) for position in range(min(meant, TOP)))
    return JudgedSearch(
        query=expected.query,
        expects=expected.expects,
        meant=meant,
        hit=float(any(first)),
        precision=sum(first) / TOP,
        ndcg=gained / best if best else 0.0,
    )
