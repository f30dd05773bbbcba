"""Diversity: a cap on the share of one category within a sliding window of the feed."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from streams.core.params import RankParams
from streams.core.ranking.catalog.item_columns import Indices


def diversify(order: NDArray[np.intp], categories: Indices, params: RankParams) -> NDArray[np.intp]:
    """Return at most one feed of `order`, such that no window holds too many items of one category.

    Each step takes the best item that the window admits. An item over the cap waits until the window has moved on. When
    only such items are left, the best of them is taken, so that the cap never shortens a feed.

    Args:
        order: Indices of candidates, best first.
        categories: The category of each, in the same order.
        params: Supplies the cap, the window and the length of a feed.
    """
    most, window = max(1, math.ceil(params.diversity_cap * params.diversity_window)), params.diversity_window
    labels = categories.tolist()
    counts = dict.fromkeys(labels, 0)  # items of each category in the window
    waiting: dict[int, deque[int]] = {}
    upcoming = enumerate(labels)
    selection: list[int] = []
    for step in range(min(params.max_recommendations, len(labels))):
        if step >= window:
            counts[labels[selection[step - window]]] -= 1
        index = _best(waiting, counts, most) if waiting else None
        if index is None:
            for candidate, label in upcoming:
                if counts[label] < most:
                    index = candidate
                    break
                waiting.setdefault(label, deque()).append(candidate)
            else:
                index = _best(waiting, counts, window + 1)
        assert index is not None  # every item is either waiting or upcoming
        selection.append(index)
        counts[labels[index]] += 1
    return order[np.array(selection, np.intp)]


def _best(waiting: dict[int, deque[int]], counts: dict[int, int], most: int) -> int | None:
    """Remove and return the best waiting item of the categories that are below `most` in the window."""
    best = None
    for label, indices in waiting.items():
        if counts[label] < most and (best is None or indices[0] < waiting[best][0]):
            best = label
    if best is None:
        return None
    index = waiting[best].popleft()
    if not waiting[best]:
        del waiting[best]
    return index
