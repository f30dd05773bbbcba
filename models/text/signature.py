"""Item signatures: vectors of item metadata by random projection, without a fit.

The bits of a word's hash are its vector of random signs, so that words are nearly orthogonal, and the vector of an item
is the weighted sum of those of its words (random projection: Johnson and Lindenstrauss, 1984; with signs: Achlioptas,
JCSS 2003). Every process computes the same vectors, and a new item has its vector at once.

Each item also has a unique word, with more weight the shorter its metadata. So no two vectors are equal, and an item
with little metadata is no nearer to all others than they are to each other: in a graph index such an item would become
a hub that attracts every search.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 256
"""This many preserve 98 % of the similarity of the best 150 of 9,000 films; half as many, 97 %."""
_TOPIC, _OTHER = 2.0, 1.0
"""Weights of a topic, and of the category or a word of the title."""
_LENGTH, _LEAST = 4.0, 1.0
"""Norm of all weights of an item, and least weight of its unique word."""
_WORD = re.compile(r"\w\w+")

Vector = NDArray[np.float32]


def signature(item_id: str, title: str, category: str, topics: Sequence[str]) -> Vector:
    """Return the (DIMENSIONS,) unit vector of an item.

    Args:
        item_id: The item, which yields its unique word.
        title: Title of the item.
        category: Category, or empty.
        topics: Topics of the item.

    >>> jazz, also_jazz, cooking = (
    ...     signature("i1", "Blue Night", "music", ["jazz"]),
    ...     signature("i2", "Night Train", "music", ["jazz"]),
    ...     signature("i3", "Bread at Home", "food", ["baking"]),
    ... )
    >>> bool(jazz @ also_jazz > 0.3 > jazz @ cooking)
    True
    """
    words = [(f"topic {topic}", _TOPIC) for topic in topics]
    words += [(word, _OTHER) for word in _WORD.findall(title.lower())]
    if category:
        words.append((f"category {category}", _OTHER))
    squared_length = sum(weight**2 for _, weight in words)
    words.append((f"item {item_id}", max(_LENGTH**2 - squared_length, _LEAST**2) ** 0.5))
    bits = b"".join(blake2b(word.encode(), digest_size=DIMENSIONS // 8).digest() for word, _ in words)
    directions = np.unpackbits(np.frombuffer(bits, np.uint8)).reshape(len(words), -1).astype(np.float32) * 2 - 1
    vector: Vector = np.array([weight for _, weight in words], np.float32) @ directions
    return vector / np.float32(np.linalg.norm(vector))
