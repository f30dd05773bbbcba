"""What items say of themselves as vectors that need no fit: random signs for words, from the words' own hashes.

A word stands for the signs that the bits of its hash spell, so that words are all but orthogonal, and the vector of
an item is the weighted sum of its words' (random projection: Johnson and Lindenstrauss, 1984; with signs: Achlioptas,
JCSS 2003). Every process computes the same vectors, and an item's is there as soon as the item is.

Each item also has a word of its own, the heavier the less it says otherwise. So no two vectors are the same, and an
item that says little is no nearer to all the others than they are to each other: a graph that leads from vector to
vector would send everyone to such an item, and find nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 256
"""With as many, 98 % of the likeness of the best 150 of 9,000 films is kept; with half as many, 97 %."""
_TOPIC, _OTHER = 2.0, 1.0
"""How much a topic counts, and the category or a word of the title."""
_LENGTH, _LEAST = 4.0, 1.0
"""How long an item's words are together, and how much its own one counts at least."""
_WORD = re.compile(r"\w\w+")

Vector = NDArray[np.float32]


def signature(item_id: str, title: str, category: str, topics: Sequence[str]) -> Vector:
    """Return (DIMENSIONS,) of unit length."""
    words = [(f"topic {topic}", _TOPIC) for topic in topics]
    words += [(word, _OTHER) for word in _WORD.findall(title.lower())]
    if category:
        words.append((f"category {category}", _OTHER))
    squared_length = sum(weight**2 for _, weight in words)
    words.append((f"item {item_id}", max(_LENGTH**2 - squared_length, _LEAST**2) ** 0.5))
    bits = b"".join(blake2b(word.encode(), digest_size=DIMENSIONS // 8).digest() for word, _ in words)
    signs = np.unpackbits(np.frombuffer(bits, np.uint8)).reshape(len(words), -1).astype(np.float32) * 2 - 1
    vector: Vector = np.array([weight for _, weight in words], np.float32) @ signs
    return vector / np.float32(np.linalg.norm(vector))
