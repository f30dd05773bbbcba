"""Text as the pieces of its words, hashed (Weinberger et al., ICML 2009, over FastText's character n-grams).

Nothing is fitted and nothing downloaded, so that vectors made anywhere at any time compare. It tells what shares words
or parts of words, inflected or misspelt; what means the same in other words takes a sentence encoder.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from models.text.tfidf import DIMENSIONS, TextEncoder, Vectors

_WORD = re.compile(r"\w\w+")
_LENGTHS = (3, 4, 5)


class Subword(TextEncoder):
    """Encodes texts by whole words and by their n-grams, each word weighing the same."""

    name = "subwords"

    def fit(self, texts: Sequence[str]) -> None:
        """Learn nothing: pieces are hashed as they come."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return (len(texts), 384) vectors of unit length; zeros for a text without a word."""
        vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word, count in Counter(_WORD.findall(text.lower())).items():
                places, signs = _pieces(word)
                np.add.at(row, places, signs * np.float32(np.sqrt(count) / np.sqrt(len(signs))))
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return vectors


@lru_cache(maxsize=50_000)
def _pieces(word: str) -> tuple[NDArray[np.int64], Vectors]:
    """Return where the pieces of a word count, and whether for or against."""
    hashes = np.array([crc32(piece.encode()) for piece in _split(word)], np.int64)
    return hashes % DIMENSIONS, np.where(hashes >> 31, 1.0, -1.0).astype(np.float32)


def _split(word: str) -> Iterator[str]:
    """Yield the word itself and its n-grams, its ends marked."""
    marked = f"<{word}>"
    yield marked
    for length in _LENGTHS:
        for start in range(len(marked) - length + 1):
            yield marked[start : start + length]
