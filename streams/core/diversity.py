"""Spreading categories over a feed."""

from __future__ import annotations

import math
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
    labels = categories.tolist()
    waiting: list[int] = []
    chosen: list[int] = []
    window: list[int] = []
    upcoming = iter(range(len(labels)))
    for _ in range(min(params.feed_items, len(labels))):
        place = _next(waiting, upcoming, labels, window, most)
        chosen.append(place)
        window = [*window[2 - params.diversity_window :], labels[place]]
    return order[np.array(chosen, np.intp)]


def _next(waiting: list[int], upcoming: Iterator[int], labels: list[int], window: list[int], most: int) -> int:
    for at, place in enumerate(waiting):
        if window.count(labels[place]) < most:
            return waiting.pop(at)
    for place in upcoming:
        if window.count(labels[place]) < most:
            return place
        waiting.append(place)
    return waiting.pop(0)
