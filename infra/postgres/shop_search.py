"""Product search in the catalog by words, with synonyms, spelling correction and filters.

All data is read from PostgreSQL, where the archive and shop roles maintain it; nothing is learned or encoded here.
A word that no item contains is replaced by the most similar known word. The score of an item has three terms: the share
of the query that its text covers, where rare words count more and synonyms less than the word itself; the cosine
similarity of its text to the query; and a small bonus for good ratings by many users.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from domain.nearby import UNKNOWN_LOCATION, GeoLocation
from infra.postgres import segment, spelling
from infra.postgres.distance import HAS_NO_LOCATION, DistanceCondition, distance_condition, nearby
from infra.postgres.parameters import Bind, Parameters
from infra.postgres.pool import LazyPool, equals
from infra.postgres.synonyms import Phrase, terms, words
from schemas.types import Item

MAX_TERMS = 12
_NEAREST = 200
"""Maximum number of items that match by meaning alone."""
_NEAR = 0.45
"""Their minimum cosine similarity."""
_STANDS_IN = 0.9
"""Weight of a synonym relative to the word itself."""
_MEANING, _WELL_RATED = 0.6, 0.02
_WEIGHTS = "'{0.1, 0.2, 1.0, 0.8}'"
"""Weights of other text, description, category and brand, title."""
_MIN_ITEMS = 1_000
_COUNTED = 1_000
"""Limit of the count of items that contain a run."""
_RARE, _MORE = 3, 30
"""A word in at most `_RARE` items may be misspelled if a similar word is in at least `_MORE` times as many items."""

_KNOWN = """
SELECT typed, coalesce(sum(items), 0)::int AS items,
       (SELECT reltuples FROM pg_class WHERE oid = 'items'::regclass) AS every
FROM unnest($1::text[]) AS typed
LEFT JOIN words ON stem = coalesce((ts_lexize('english_stem', typed))[1], typed)
WHERE ts_lexize('english_stem', typed) <> '{}' GROUP BY typed
"""
_SIMILAR = f"""
SELECT word, items FROM words WHERE trigrams && trigrams($1) AND abs(length(word) - length($1)) <= 2 AND word <> $1
ORDER BY cardinality(ARRAY(SELECT unnest(trigrams) INTERSECT SELECT unnest(trigrams($1)))) DESC, items DESC
LIMIT {_NEAREST}
"""  # noqa: S608 - the number is ours


_EVERY = "SELECT reltuples::int FROM pg_class WHERE oid = 'items'::regclass"
_HELD = f"SELECT count(*) FROM (SELECT FROM catalogue WHERE document @@ $1::text::tsquery LIMIT {_COUNTED})"  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopQuery:
    """A search with its filters and the page to return."""

    query: str
    kind: str = ""
    category: str = ""
    """A category or a topic."""
    min_price: float | None = None
    max_price: float | None = None
    min_rating: float | None = None
    user: GeoLocation = UNKNOWN_LOCATION
    """Location of the user: items tied to other locations are excluded, or come last if the location is unknown."""
    limit: int = 20
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchMatches:
    """Results of a search, best first."""

    item_ids: list[str] = field(default_factory=list)
    total: int = 0
    """Number of results on all pages."""
    corrections: dict[str, str] = field(default_factory=dict)
    """Spelling corrections: the typed word and the word that was searched for."""


class ShopSearch(Protocol):
    """A search in the catalog."""

    async def find(self, query: ShopQuery) -> SearchMatches:
        """Return the results, none if the query has no meaningful word.

        Raises:
            StoreError: the store does not answer.
        """
        ...


class MemoryShopSearch:
    """A search over items in memory, by kind and by any of the words without stemming."""

    def __init__(self, items: Sequence[Item] = ()) -> None:
        self._items = items

    async def find(self, query: ShopQuery) -> SearchMatches:
        """Return the results."""
        query_words = _parts(query.query)
        item_ids = [
            item.item_id
            for item in self._items
            if query.kind in ("", item.kind)
            and not item.private
            and query_words & _parts(" ".join((item.title, *item.topics)))
        ]
        return SearchMatches(item_ids=item_ids[query.offset :][: query.limit], total=len(item_ids))


class PostgresShopSearch:
    """The search in PostgreSQL."""

    def __init__(self, connections: LazyPool, *, radius_km: float, hides_out_of_stock: bool) -> None:
        """Configure the search.

        Args:
            connections: Connections.
            radius_km: Maximum distance of items tied to a location, in km.
            hides_out_of_stock: Whether to exclude items that are out of stock; otherwise they come last.
        """
        self._connections = connections
        self._radius_km, self._hides_out_of_stock = radius_km, hides_out_of_stock
        self._within: DistanceCondition | None = None

    async def find(self, query: ShopQuery) -> SearchMatches:
        """Return the results, none if the query has no meaningful word.

        Raises:
            StoreError: PostgreSQL does not answer.
        """
        async with self._connections.read_connection("searching") as connection:
            query_terms = [
                *await self._terms(connection, words(query.query)),
                *await self._runs(connection, segment.runs(query.query)),
            ][:MAX_TERMS]
            if not query_terms:
                return SearchMatches()
            parameters = Parameters()
            if self._within is None:
                self._within = await distance_condition(connection)
            pool = self._pool(query, parameters.bind, self._within)
            statement = _statement(query, query_terms, parameters.bind, pool)
            await connection.execute("SET LOCAL hnsw.iterative_scan = strict_order")
            rows = await connection.fetch(statement, *parameters.values)
        return SearchMatches(
            item_ids=[row["item_id"] for row in rows],
            total=rows[0]["total"] if rows else 0,
            corrections={" ".join(term.phrase): term.correction for term in query_terms if term.correction},
        )

    async def _terms(self, connection: Any, query_words: Sequence[str]) -> list[Term]:
        rows = await connection.fetch(_KNOWN, list(dict.fromkeys(query_words)))
        frequencies = {row["typed"]: row["items"] for row in rows}
        every = max((row["every"] for row in rows), default=0)
        query_terms = []
        for phrase, synonyms in list(terms([word for word in query_words if word in frequencies]))[:MAX_TERMS]:
            others, items = synonyms, min(frequencies[word] for word in phrase)
            correction = None
            if items <= _RARE and not synonyms and len(phrase[0]) >= spelling.SHORTEST and phrase[0].isalpha():
                similar_words = [(row["word"], row["items"]) for row in await connection.fetch(_SIMILAR, phrase[0])]
                correction = spelling.correction(
                    phrase[0], [(word, count) for word, count in similar_words if count >= _MORE * items]
                )
            if correction is not None:
                others = [*next(iter(terms([correction])))[1], *synonyms]
                items = dict(similar_words)[correction]
            query_terms.append(Term(phrase, others, math.log1p(max(every, _MIN_ITEMS) / (1 + items)), correction))
        return query_terms

    async def _runs(self, connection: Any, runs: Sequence[str]) -> list[Term]:
        """Return the terms of text without spaces: whole runs that match an item, else their matching bigrams."""
        every = max(await connection.fetchval(_EVERY), _MIN_ITEMS)
        query_terms: list[Term] = []
        for run in dict.fromkeys(runs):
            for part in dict.fromkeys((run, *segment.pairs(run))):
                items = await connection.fetchval(_HELD, segment.query(part))
                if items:
                    query_terms.append(Term((part,), [], math.log1p(every / (1 + items)), None, is_run=True))
                if (items and part == run) or len(query_terms) >= MAX_TERMS:
                    break
        return query_terms

    def _pool(self, query: ShopQuery, bind: Bind, within: DistanceCondition) -> str:
        """Return the statement of all eligible items; those with `is_last` come after all others."""
        conditions, last = ["NOT items.private", *_conditions(query, bind)], ["false"]
        if self._hides_out_of_stock:
            conditions.append("NOT items.sold_out")
        else:
            last.append("items.sold_out")
        if query.user.is_known:
            conditions.append(f"({HAS_NO_LOCATION} OR {nearby(bind, within, query.user, self._radius_km)})")
        else:
            last.append(f"NOT {HAS_NO_LOCATION}")
        return f"""
        SELECT catalogue.item_id, document, meaning, items.rating, items.reviews, ({" OR ".join(last)}) AS is_last
        FROM catalogue JOIN items USING (item_id) LEFT JOIN likeness USING (item_id)
        WHERE {" AND ".join(conditions)}"""  # noqa: S608 - values are bound


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a query."""

    phrase: Phrase
    synonyms: list[Phrase]
    """Its synonyms."""
    rarity: float
    correction: str | None
    """The correction of a misspelled word."""
    is_run: bool = False
    """Whether it is matched within text without spaces."""

    @property
    def phrases(self) -> list[Phrase]:
        """Return all phrases that match the term; the correction, or else the typed phrase, comes first."""
        return list(dict.fromkeys([*([(self.correction,)] if self.correction else []), self.phrase, *self.synonyms]))


def _statement(query: ShopQuery, query_terms: Sequence[Term], bind: Bind, pool: str) -> str:
    """Return the statement; all parts of the query are bound values."""
    vector = f"(SELECT sum(meaning) FROM words WHERE word = ANY({bind(_telling(query_terms))}))"  # noqa: S608
    anything = " || ".join(_any_of(term, term.phrases, bind) for term in query_terms)
    most = sum(term.rarity for term in query_terms)
    coverage = " + ".join(f"{bind(term.rarity / most)}::float8 * {_covered(term, bind)}" for term in query_terms)
    return f"""
WITH pool AS NOT MATERIALIZED ({pool}),
     asked AS MATERIALIZED (SELECT {vector} AS meaning),
     near AS (SELECT * FROM pool
              WHERE meaning IS NOT NULL AND (SELECT meaning FROM asked) IS NOT NULL
              ORDER BY meaning <=> (SELECT meaning FROM asked) LIMIT {_NEAREST}),
     candidates AS (
        SELECT * FROM near WHERE meaning <=> (SELECT meaning FROM asked) <= {1 - _NEAR}
        UNION
        SELECT * FROM pool WHERE document @@ ({anything}))
SELECT item_id, count(*) OVER ()::int AS total FROM candidates
ORDER BY is_last, {coverage}
       + {_MEANING} * coalesce(1 - (meaning <=> (SELECT meaning FROM asked)), 0)
       + {_WELL_RATED} * coalesce(rating, 0) / 5 * ln(1 + coalesce(reviews, 0)) DESC, item_id
LIMIT {bind(query.limit)} OFFSET {bind(query.offset)}
"""  # noqa: S608 - values are bound


def _parts(text: str) -> set[str]:
    return {*words(text), *(pair for run in segment.runs(text) for pair in segment.pairs(run))}


def _covered(term: Term, bind: Bind) -> str:
    """Return the SQL expression of a term's coverage, about 1 if title and category contain it."""
    first, *others = term.phrases
    own = f"ts_rank({_WEIGHTS}, document, {_any_of(term, [first], bind)})"
    if not others:
        return own
    return f"greatest({own}, {_STANDS_IN} * ts_rank({_WEIGHTS}, document, {_any_of(term, others, bind)}))"


def _conditions(query: ShopQuery, bind: Bind) -> list[str]:
    conditions = []
    if query.kind:
        conditions.append(equals("items.kind", query.kind, bind))
    if query.category:
        placeholder = bind(query.category)
        conditions.append(f"(items.category = {placeholder} OR {placeholder} = ANY(items.topics))")
    for column, operator, value in (
        ("price", ">=", query.min_price),
        ("price", "<=", query.max_price),
        ("rating", ">=", query.min_rating),
    ):
        if value is not None:
            conditions.append(f"items.{column} {operator} {bind(value)}")
    return conditions


def _telling(query_terms: Sequence[Term]) -> list[str]:
    """Return the words whose vectors add up to the query's, including synonyms."""
    return [word for term in query_terms for phrase in term.phrases for word in phrase]


def _any_of(term: Term, phrases: Sequence[Phrase], bind: Bind) -> str:
    if term.is_run:
        return f"{bind(segment.query(term.phrase[0]))}::text::tsquery"
    return "(" + " || ".join(f"phraseto_tsquery('english', {bind(' '.join(phrase))})" for phrase in phrases) + ")"
