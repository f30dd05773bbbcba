"""Records of embeddings: of items, on their topic, and of users, with their features."""

from __future__ import annotations

import numpy as np
from msgspec import structs

from models.factorization.item_embeddings import ItemEmbeddings, Vector
from models.vocabulary import Vocabulary
from schemas.types import Features, ItemEmbedding

STORED = np.dtype("<f2")
"""Type of the numbers of an embedding in a record."""


def space_name(dimensions: int) -> str:
    """Return the name of the vector space of embeddings of a length: another model makes another space, too."""
    return f"softmax-{dimensions}"


def item_embedding(item_id: str, item: int, embeddings: ItemEmbeddings, *, watermark: int) -> ItemEmbedding:
    """Return the record of an item that has an embedding.

    Args:
        item_id: The item.
        item: Its number.
        embeddings: The embeddings.
        watermark: Time of the newest event learned from, in ms since the epoch.
    """
    vector, bias = embeddings.embedding(item)
    return ItemEmbedding(
        item_id=item_id,
        space=space_name(embeddings.config.dimensions),
        vector=vector.astype(STORED).tobytes(),
        bias=bias,
        watermark=watermark,
        event_count=int(embeddings.event_counts(np.array([item]))[0]),
    )


def stored_vector(record: ItemEmbedding, dimensions: int) -> Vector | None:
    """Return the embedding of a record, or None if it is of another space.

    Args:
        record: The record.
        dimensions: Length of the embeddings of the space.
    """
    return np.frombuffer(record.vector, STORED).astype(np.float32) if record.space == space_name(dimensions) else None


def without_embedding(features: Features) -> Features:
    """Return the features of a user without the embedding, which no history tells: embeddings of items change live."""
    return structs.replace(features, embedding=b"", embedding_space="")


def with_embedding(features: Features, items: Vocabulary, embeddings: ItemEmbeddings) -> Features:
    """Return the features of a user with the embedding by the last items, if there is one.

    Args:
        features: The features.
        items: The numbers of items.
        embeddings: The embeddings of items.
    """
    recent = [event.item_id for event in features.recent[: embeddings.config.context]]
    vector = embeddings.user(items.encode_known(recent))
    if vector is None:
        return features
    space = space_name(embeddings.config.dimensions)
    return structs.replace(features, embedding=vector.astype(STORED).tobytes(), embedding_space=space)
