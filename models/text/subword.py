"""Subword encoder: feature hashing (Weinberger et al., ICML 2009) of FastText's character n-grams.

There is no fit and no download, so that vectors of all processes are comparable. It matches shared words and word
parts, inflected or misspelt; synonyms need a sentence encoder.
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
    """Encodes texts by whole words and their n-grams, with equal weight for each word."""

    name = "subwords"

    def fit(self, texts: Sequence[str]) -> None:
        """Do nothing: hashing needs no fit."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return (len(texts), 384) vectors of unit length; zeros for a text without a word."""
        vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word, count in Counter(_WORD.findall(text.lower())).items():
                dimensions, signs = _pieces(word)
                np.add.at(row, dimensions, signs * np.float32(np.sqrt(count) / np.sqrt(len(signs))))
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return vectors


@lru_cache(maxsize=50_000)
def _pieces(word: str) -> tuple[NDArray[np.int64], Vectors]:
    """Return the dimensions and signs of the pieces of a word."""
    hashes = np.array([crc32(piece.encode()) for piece in _split(word)], np.int64)
    return hashes % DIMENSIONS, np.where(hashes >> 31, 1.0, -1.0).astype(np.float32)


def _split(word: str) -> Iterator[str]:
    """Yield the word itself and its n-grams, with marked ends."""
    marked_word = f"<{word}>"
    yield marked_word
    for length in _LENGTHS:
        for start in range(len(marked_word) - length + 1):
            yield marked_word[start : start + length]
