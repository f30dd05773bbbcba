"""Approximate nearest-neighbour index: a hierarchical small-world graph (Malkov and Yashunin, TPAMI 2020).

Vectors are added and removed one at a time. The index stores the direction of each with one byte per dimension, and a
graph with 24 links per vector. A search expands some 400 vectors, for a recall above 96 % of the nearest hundred of
200,000 (`millrace bench index`). Two bytes per dimension hardly improve recall and take 1.5 times the memory. By inner
product, where lengths matter, the index stores two bytes per dimension, and a search expands 100 vectors: 93 % of the
best fifty of 60,000, in a quarter of the time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from usearch.index import Index as Graph

Indices = NDArray[np.int32]
Vectors = NDArray[np.float32]
Bytes = NDArray[np.int8]

_LINKS = 24
_WIDTH_ADDED, _WIDTH_SEARCHED, _WIDTH_BY_PRODUCT = 160, 400, 100
"""Expanded vectors when a vector is added, in a search by cosine, and in one by inner product."""
_WIDTH_PER_RESULT = 4
"""Expanded vectors for each result of a narrower search."""
_LARGEST, _TINY = 127, np.float32(1e-30)


class AnnIndex:
    """Numbered vectors with search for the nearest by cosine or by inner product."""

    def __init__(self, dimensions: int, *, by_inner_product: bool = False) -> None:
        """Start empty.

        Args:
            dimensions: Length of a vector.
            by_inner_product: Whether the nearest have the highest inner product; otherwise, the highest cosine.
        """
        self._quantize = _in_halves if by_inner_product else _in_bytes
        self._width = _WIDTH_BY_PRODUCT if by_inner_product else _WIDTH_SEARCHED
        self._graph = Graph(
            ndim=dimensions,
            metric="ip" if by_inner_product else "cos",
            dtype="f16" if by_inner_product else "i8",
            connectivity=_LINKS,
            expansion_add=_WIDTH_ADDED,
            expansion_search=self._width,
        )

    def __len__(self) -> int:
        return len(self._graph)

    @property
    def bytes_used(self) -> int:
        """Return the memory of the vectors and the graph, in bytes."""
        return int(self._graph.memory_usage)

    def put(self, numbers: Indices, vectors: Vectors) -> None:
        """Add vectors, replacing those with the same numbers.

        Args:
            numbers: (n,) distinct numbers.
            vectors: (n, dimensions) vectors of any length.
        """
        self.remove(numbers)
        self._graph.add(numbers.astype(np.uint64), self._quantize(vectors), threads=1)

    def remove(self, numbers: Indices) -> None:
        """Remove the vectors of some numbers, where present."""
        self._graph.remove(numbers.astype(np.uint64), threads=1)

    def vectors(self, numbers: Indices) -> Vectors:
        """Return (n, dimensions) unit vectors of some numbers; zeros for missing ones."""
        vectors = np.zeros((len(numbers), self._graph.ndim), np.float32)
        graph_vectors: Any = self._graph.get(numbers.astype(np.uint64))
        for row, vector in zip(vectors, graph_vectors, strict=True):
            if vector is not None:
                row[:] = vector
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), _TINY)
        return vectors

    def nearest(self, vector: Vectors, limit: int) -> Indices:
        """Return the numbers of the nearest vectors, nearest first.

        Args:
            vector: (dimensions,) query.
            limit: Number of results, at most.
        """
        if not len(self):
            return np.empty(0, np.int32)
        return self._graph.search(self._quantize(vector), limit, threads=1).keys.astype(np.int32)

    def neighbors(self, vectors: Vectors, limit: int) -> list[Indices]:
        """Return the numbers of the nearest vectors of several queries, nearest first, with a narrower search.

        Args:
            vectors: (queries, dimensions) queries.
            limit: Number of results of each, at most.
        """
        if not len(self) or not len(vectors):
            return [np.empty(0, np.int32)] * len(vectors)
        graph: Any = self._graph
        graph.expansion_search = _WIDTH_PER_RESULT * limit
        matches = graph.search(self._quantize(vectors), limit, threads=1)
        graph.expansion_search = self._width
        if len(vectors) == 1 and matches.keys.ndim == 1:
            return [matches.keys.astype(np.int32)]
        return [keys[:count].astype(np.int32) for keys, count in zip(matches.keys, matches.counts, strict=True)]


def _in_halves(vectors: Vectors) -> NDArray[np.float16]:
    return vectors.astype(np.float16)


def _in_bytes(vectors: Vectors) -> Bytes:
    """Return the directions in int8, each scaled so that its largest component is 127."""
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    quantized_vectors: Bytes = np.rint(vectors * (_LARGEST / np.maximum(largest, _TINY))).astype(np.int8)
    return quantized_vectors
