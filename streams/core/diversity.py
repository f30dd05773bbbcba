"""Spreading categories over a feed."""

from __future__ import annotations

import math
from collections import deque

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
    most, window = max(1, math.ceil(params.diversity_cap * params.diversity_window)), params.diversity_window
    labels = categories.tolist()
    count = len(labels)
    counts = dict.fromkeys(labels, 0)  # items of each category in the window
    waiting: dict[int, deque[int]] = {}
    chosen: list[int] = []
    upcoming = 0
    for step in range(min(params.feed_items, count)):
        if step >= window:
            counts[labels[chosen[step - window]]] -= 1
        free = [label for label in waiting if counts[label] < most] if waiting else []
        place = _best(waiting, free) if free else None
        while place is None and upcoming < count:
            label = labels[upcoming]
            if counts[label] < most:
                place = upcoming
            else:
                waiting.setdefault(label, deque()).append(upcoming)
            upcoming += 1
        if place is None:
            place = _best(waiting, list(waiting))
        chosen.append(place)
        counts[labels[place]] += 1
    return order[np.array(chosen, np.intp)]


def _best(waiting: dict[int, deque[int]], labels: list[int]) -> int:
    """Take the best item that waits, of those of some labels."""
    label = min(labels, key=lambda one: waiting[one][0])
    place = waiting[label].popleft()
    if not waiting[label]:
        del waiting[label]
    return place
