"""Nearest-neighbour index of a catalogue of 200,000 items: recall, speed and memory.

The queries are the last liked items of users who prefer one category, folded as in the candidate source `similar`.
"""

from __future__ import annotations

import time

import numpy as np

from bench.load import CATEGORIES, LOYALTY, EventLoad
from bench.rig import OnBenchProgress
from models.neighbours.cooccurrence import STEP
from models.text.ann_index import AnnIndex, Vectors
from models.text.signature import DIMENSIONS, signature

_NEAREST = 100
_QUERIES = 300
_LIKINGS = 20
_CHUNK = 1_000
_CLOSE = 1e-4
"""Differences in similarity below this are rounding errors."""


def measure(load: EventLoad, *, on_progress: OnBenchProgress) -> dict[str, float]:
    """Return recall against an exhaustive search, times, and memory per 100,000 items."""
    items = load.items
    vectors = np.stack([signature(item.item_id, item.title, item.category, item.topics) for item in items])
    index, added_s = AnnIndex(DIMENSIONS), 0.0
    for start in range(0, len(items), _CHUNK):
        on_progress("add to the index", start, len(items))
        chunk = np.arange(start, min(start + _CHUNK, len(items)), dtype=np.int32)
        began = time.process_time()
        index.put(chunk, vectors[chunk])
        added_s += time.process_time() - began
    shares, searched_s = [], 0.0
    for query in _queries(vectors):
        began = time.process_time()
        nearest_items = index.nearest(query, _NEAREST)
        searched_s += time.process_time() - began
        content_index = vectors @ query
        shares.append(
            np.count_nonzero(content_index[nearest_items] >= np.partition(content_index, -_NEAREST)[-_NEAREST] - _CLOSE)
        )
    return {
        "items": len(items),
        "recall_at_100": round(float(np.mean(shares)) / _NEAREST, 4),
        "us_per_query": round(1e6 * searched_s / _QUERIES),
        "us_per_item": round(1e6 * added_s / len(items)),
        "items_100k_gb": round(index.bytes_used / len(items) * 100_000 / 2**30, 3),
    }


def _queries(vectors: Vectors) -> Vectors:
    """Return (queries, dimensions) vectors of users who mostly like items of one category."""
    draw = np.random.default_rng(0)
    shape = (_QUERIES, _LIKINGS)
    kinds, items = draw.integers(len(CATEGORIES), size=(_QUERIES, 1)), draw.integers(len(vectors), size=shape)
    own = np.minimum(items // len(CATEGORIES) * len(CATEGORIES) + kinds, len(vectors) - 1)
    liked_items = np.where(draw.random(shape) < LOYALTY, own, items)
    queries = np.einsum("l,qld->qd", STEP ** np.arange(_LIKINGS, dtype=np.float32), vectors[liked_items])
    unit_queries: Vectors = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    return unit_queries
