"""Similarity fit: items, interactions → similar products and association rules in PostgreSQL, fitted daily."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from infra.postgres.hybrid_search import vector_text
from infra.postgres.segment import spaced
from infra.redis.stores.shop_store import MAX_PRODUCTS
from models.neighbours.nearest import nearest
from models.neighbours.rules import AssociationRule, mine
from models.text.tfidf import TfIdf, Vectors
from schemas.limit import PRODUCT

DIMENSIONS = 128
SINCE = timedelta(days=30)
"""Age up to which interactions form baskets."""
_MIN_BASKETS = 3
_NOT_CHOSEN = ("skip", "dislike", "search")

_PRODUCTS = "SELECT item_id, title, topics FROM items WHERE left(kind, 256) = $1 ORDER BY item_id"
_BASKETS = """
SELECT array_agg(DISTINCT item_id ORDER BY item_id) AS basket FROM interactions JOIN items USING (item_id)
WHERE left(kind, 256) = $1 AND occurred_at > $2 AND action <> ALL($3)
GROUP BY user_id, coalesce(session_id, date_trunc('day', occurred_at)::text)
HAVING count(DISTINCT item_id) > 1
"""
_SIMILAR = """
INSERT INTO likeness (item_id, meaning, others, scores)
SELECT $1, $2::text::vector, $3, $4 WHERE EXISTS (SELECT FROM items WHERE item_id = $1)
"""
_RULE = """
INSERT INTO association_rules (item_id, other, support, confidence, lift)
SELECT $1, $2, $3, $4, $5 WHERE (SELECT count(*) FROM items WHERE item_id IN ($1, $2)) = 2
"""
_WORD = "UPDATE words SET meaning = $2::text::vector WHERE word = $1"


@dataclass(frozen=True, slots=True)
class ShopModel:
    """Text model of the products: embeddings of words and products, and the most similar products of each product."""

    words: list[str]
    meanings: Vectors
    products: Vectors
    neighbours: list[tuple[list[str], list[float]]]


def fit_model(item_ids: Sequence[str], texts: Sequence[str], *, features: int) -> ShopModel:
    """Fit TF-IDF to texts and find the nearest neighbours of each.

    Args:
        item_ids: The ids of the products.
        texts: Their texts, in the same order.
        features: Size of the vocabulary.
    """
    encoder = TfIdf(features=features, dimensions=DIMENSIONS)
    encoder.fit(texts)
    vectors = encoder.encode(texts)
    neighbours = [
        ([item_ids[number] for number in numbers.tolist()], products.tolist())
        for numbers, products in nearest(vectors, MAX_PRODUCTS)
    ]
    return ShopModel(*encoder.word_vectors(), vectors, neighbours)


def text_of(row: Any) -> str:
    """Return the text that products are compared by: title and sub-categories, segmented as for search."""
    return spaced("\n".join((row["title"], *row["topics"])))


async def is_due(pool: asyncpg.Pool, interval_s: float, now: datetime, *, requested_at: datetime | None = None) -> bool:
    """Return whether a fit is due: the first one, after `interval_s`, on request, or if the catalogue has changed.

    A catalogue has changed if it has over a tenth more or fewer products.

    Args:
        pool: Connections to PostgreSQL.
        interval_s: Time between two fits, in seconds.
        now: The current time.
        requested_at: Time of the last request for a fit; a later fit has answered it.
    """
    products = await pool.fetchval("SELECT count(*) FROM items WHERE left(kind, 256) = $1", PRODUCT)
    if not products or not await pool.fetchval("SELECT EXISTS (SELECT FROM words)"):
        return False
    last = await pool.fetchrow("SELECT * FROM shop_fits ORDER BY fitted_at DESC LIMIT 1")
    if last is None or now - last["fitted_at"] >= timedelta(seconds=interval_s):
        return True
    if requested_at is not None and requested_at > last["fitted_at"]:
        return True
    return bool(abs(products - last["products"]) > last["products"] / 10)


async def fit(pool: asyncpg.Pool, now: datetime, *, features: int) -> None:
    """Fit to all products and the recent baskets, in one transaction: searches see the old fit until it ends.

    Args:
        pool: Connections to PostgreSQL.
        now: The current time.
        features: Size of the vocabulary.
    """
    began_s = time.monotonic()
    rows = await pool.fetch(_PRODUCTS, PRODUCT)
    item_ids = [row["item_id"] for row in rows]
    model = await asyncio.to_thread(fit_model, item_ids, [text_of(row) for row in rows], features=features)
    baskets = await pool.fetch(_BASKETS, PRODUCT, now - SINCE, list(_NOT_CHOSEN))
    rules = await asyncio.to_thread(mine, [row["basket"] for row in baskets], min_support=_MIN_BASKETS)
    async with pool.acquire() as connection, connection.transaction():
        await _write(connection, item_ids, model, rules)
        await connection.execute(
            "INSERT INTO shop_fits (fitted_at, products, baskets, rules, took_s) VALUES ($1, $2, $3, $4, $5)",
            *(now, len(rows), len(baskets), len(rules), time.monotonic() - began_s),
        )


async def _write(connection: Any, item_ids: Sequence[str], model: ShopModel, rules: Sequence[AssociationRule]) -> None:
    await connection.execute("DELETE FROM likeness")
    await connection.execute("DELETE FROM association_rules")
    await connection.execute("UPDATE words SET meaning = NULL WHERE meaning IS NOT NULL")
    text_flags = [bool(vector.any()) for vector in model.products]
    await connection.executemany(
        _SIMILAR,
        [
            (item_id, vector_text(vector.tolist()) if has_text else None, *neighbours)
            for item_id, vector, has_text, neighbours in zip(
                item_ids, model.products, text_flags, model.neighbours, strict=True
            )
        ],
    )
    await connection.executemany(_RULE, rules)
    await connection.executemany(
        _WORD, [(word, vector_text(row.tolist())) for word, row in zip(model.words, model.meanings, strict=True)]
    )
