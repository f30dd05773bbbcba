"""The interface of text encoders, and TF-IDF with a truncated singular value decomposition.

TF-IDF with a logarithmic term frequency and smoothed document frequency, over the most common words; then latent
semantic analysis (Deerwester et al., 1990) by a randomized decomposition (Halko, Martinsson and Tropp, SIAM Review
2011).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from schemas.types import Item

DIMENSIONS = 384
FEATURES = 10_000
_WORD = re.compile(r"\w\w+")
_OVERSAMPLED = 16
_POWERS = 4
"""Number of power iterations."""

Vectors = NDArray[np.float32]


class TextEncoder(Protocol):
    """An encoder of texts to unit vectors whose dot products are similarities."""

    name: str

    def fit(self, texts: Sequence[str]) -> None:
        """Fit to texts; vectors from before and after a fit are not comparable."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return (len(texts), dimensions) vectors of unit length; zeros for a text without content."""


def text_of(item: Item) -> str:
    """Return the text of an item: title, description, category and topics.

    >>> text_of(Item(item_id="i1", title="Blue Night", category="music", topics=["jazz"], created_at=0))
    'Blue Night\\nmusic\\njazz'
    """
    return "\n".join(part for part in (item.title, item.description, item.category, *item.topics) if part)


class TfIdf:
    """Encodes by the most common words of the fitted texts; call `fit` first.

    >>> encoder = TfIdf(dimensions=2)
    >>> encoder.fit(["jazz night", "jazz evening", "bread oven"])
    >>> jazz, bread = encoder.encode(["an evening of jazz", "bread"])
    >>> bool(jazz @ encoder.encode(["jazz night"])[0] > 0.9 > 0.1 > jazz @ bread)
    True
    """

    name = "tf-idf"

    def __init__(self, *, features: int = FEATURES, dimensions: int = DIMENSIONS, seed: int = 0) -> None:
        """Start unfitted.

        Args:
            features: Size of the vocabulary: the words that most texts share.
            dimensions: Length of a vector.
            seed: Seed of the randomized singular value decomposition.
        """
        self._features, self._dimensions, self._seed = features, dimensions, seed
        self._words: dict[str, int] = {}
        self._rarity = np.empty(0)
        self._directions = np.zeros((0, dimensions))

    def fit(self, texts: Sequence[str]) -> None:
        """Fit the vocabulary, the document frequencies and the leading singular vectors."""
        document_counts = Counter(word for text in texts for word in set(_words(text)))
        vocabulary = sorted(document_counts, key=lambda word: (-document_counts[word], word))[: self._features]
        self._words = {word: number for number, word in enumerate(vocabulary)}
        self._rarity = 1.0 + np.log(
            (1 + len(texts)) / (1 + np.array([document_counts[word] for word in vocabulary], np.float64))
        )
        self._directions = self._reduced(self._table(texts))

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return (len(texts), dimensions) vectors of unit length; zeros for a text without a known word."""
        vectors = np.asarray(self._table(texts) @ self._directions)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)

    def word_vectors(self) -> tuple[list[str], Vectors]:
        """Return the words and their (words, dimensions) vectors; a text is the sum of its words."""
        return list(self._words), (self._rarity[:, None] * self._directions).astype(np.float32)

    def _table(self, texts: Sequence[str]) -> sparse.csr_array:
        """Return (texts, words) weights, each row of unit length."""
        columns: list[int] = []
        values: list[NDArray[np.float64]] = []
        ends = [0]
        for text in texts:
            counts = Counter(number for word in _words(text) if (number := self._words.get(word)) is not None)
            row = (1.0 + np.log(list(counts.values()))) * self._rarity[list(counts)] if counts else np.empty(0)
            columns.extend(counts)
            values.append(row / np.linalg.norm(row) if counts else row)
            ends.append(len(columns))
        flat = np.concatenate(values) if values else np.empty(0)
        return sparse.csr_array((flat, np.array(columns, np.int64), ends), shape=(len(texts), len(self._words)))

    def _reduced(self, table: sparse.csr_array) -> NDArray[np.float64]:
        """Return the (words, dimensions) leading right singular vectors; zeros beyond the rank of the table."""
        directions = np.zeros((table.shape[1], self._dimensions))
        size = min(*table.shape, self._dimensions + _OVERSAMPLED)
        if not size:
            return directions
        basis = np.random.default_rng(self._seed).normal(size=(table.shape[1], size))
        for _ in range(_POWERS):
            basis = np.linalg.qr(table.T @ np.linalg.qr(table @ basis)[0])[0]
        _, strengths, turns = np.linalg.svd(table @ basis, full_matrices=False)
        rank = min(int(np.sum(strengths > strengths[0] * np.finfo(np.float64).eps * size)), self._dimensions)
        directions[:, :rank] = basis @ turns[:rank].T
        return directions


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
