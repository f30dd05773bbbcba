"""The embedding index: it finds the items that score highest, and follows embeddings that move."""

from __future__ import annotations

import numpy as np

from models.factorization.item_embeddings import EmbeddingConfig, Indices, ItemEmbeddings, Vector
from models.vocabulary import Vocabulary
from streams.core.ranking.catalog.embedding_index import EmbeddingIndex

ITEMS, SIZE = 2_000, 16


def filled(count: int = ITEMS) -> tuple[ItemEmbeddings, EmbeddingIndex]:
    draw = np.random.default_rng(0)
    embeddings = ItemEmbeddings(Vocabulary(), EmbeddingConfig(dimensions=SIZE))
    index = EmbeddingIndex(embeddings)
    for item in range(count):
        embeddings.put(item, draw.standard_normal(SIZE).astype(np.float32), float(draw.standard_normal()))
        index.note(item)
    caught_up(index)
    return embeddings, index


def caught_up(index: EmbeddingIndex) -> None:
    while index.catch_up():
        pass


def a_user(seed: int) -> Vector:
    return np.random.default_rng(1_000 + seed).standard_normal(SIZE).astype(np.float32)


def best(embeddings: ItemEmbeddings, user: Vector, limit: int, *, count: int = ITEMS) -> Indices:
    return np.argsort(-embeddings.scores(user, slice(None), count=count))[:limit]


def test_the_items_with_the_highest_scores_are_found() -> None:
    embeddings, index = filled()
    shares = [
        len(np.intersect1d(index.nearest(user, 50), best(embeddings, user, 50))) / 50
        for user in (a_user(seed) for seed in range(40))
    ]
    assert np.mean(shares) >= 0.9


def test_an_embedding_that_has_moved_is_indexed_again_and_one_that_has_hardly_moved_is_not() -> None:
    embeddings, index = filled(20)
    user = a_user(0)
    last, next_to_last = best(embeddings, user, 20, count=20)[[-1, -2]].tolist()
    embeddings.put(last, 10.0 * user, 0.0)
    embeddings.put(next_to_last, 1.01 * embeddings.embedding(next_to_last)[0], 0.0)
    index.note(last)
    assert index.nearest(user, 1).tolist() != [last], "it is not indexed yet"
    caught_up(index)
    assert index.nearest(user, 1).tolist() == [last]


def test_changes_are_indexed_in_batches() -> None:
    embeddings, index = filled(0)
    for item in range(600):
        embeddings.put(item, a_user(item), 0.0)
        index.note(item)
    assert index.catch_up()
    assert 0 < len(index.nearest(a_user(0), 600)) < 600
    caught_up(index)
    assert len(index.nearest(a_user(0), 600)) >= 590


def test_a_removed_embedding_is_found_no_more() -> None:
    embeddings, index = filled(20)
    [first] = index.nearest(a_user(0), 1).tolist()
    embeddings.remove(first)
    index.note(first)
    caught_up(index)
    assert first not in index.nearest(a_user(0), 20).tolist()


def test_without_embeddings_nothing_is_found() -> None:
    _, index = filled(0)
    assert not len(index.nearest(a_user(0), 5))
