"""Spreading categories over a feed."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from streams.core.params import RankParams
from streams.core.view import Indices


def spread(order: NDArray[np.intp], categories: Indices, params: RankParams) -> NDArray[np.intp]:
    """Return at most a feed's worth of `order` such that no window holds too many items of one category.

    Args:
        order: Places of candidates, best first.
        categories: The category of each, in the same order.
        params: The cap, the window and the length.

    An item over the cap waits until the window has moved on; when only such items are left, the best of them is taken,
    so the cap never shortens a feed.
    """
    most = max(1, math.ceil(params.diversity_cap * params.diversity_window))
    before = params.diversity_window - 1
    labels = categories.tolist()
    counts = dict.fromkeys(labels, 0)  # items of each category in the window
    waiting: dict[int, deque[int]] = {}
    chosen: list[int] = []
    upcoming = iter(range(len(labels)))
    for step in range(min(params.feed_items, len(labels))):
        if step > before:
            counts[labels[chosen[step - before - 1]]] -= 1
        place = _next(waiting, upcoming, labels, counts, most)
        chosen.append(place)
        counts[labels[place]] += 1
    return order[np.array(chosen, np.intp)]


def _next(
    waiting: dict[int, deque[int]], upcoming: Iterator[int], labels: list[int], counts: dict[int, int], most: int
) -> int:
    if waiting:
        free = [(places[0], label) for label, places in waiting.items() if counts[label] < most]
        if free:
            return _first(waiting, min(free)[1])
    for place in upcoming:
        if counts[labels[place]] < most:
            return place
        waiting.setdefault(labels[place], deque()).append(place)
    return _first(waiting, min((places[0], label) for label, places in waiting.items())[1])


def _first(waiting: dict[int, deque[int]], label: int) -> int:
    places = waiting[label]
    if len(places) == 1:
        del waiting[label]
    return places.popleft()
