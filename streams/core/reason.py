"""Why an item is in a feed, in words that are true: derived from the part of its score that weighed most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streams.core.source import Person
from streams.core.view import Indices, Scores, View

FILL = "popular"
"""The source of items that only fill a feed up."""


def leading(parts: dict[str, Scores], count: int) -> list[str]:
    """Return the name of each item's largest part."""
    if not parts:
        return [FILL] * count
    names = list(parts)
    columns = np.stack([parts[name] for name in names])
    largest = columns.argmax(axis=0)
    weighed = columns.max(axis=0) > 0
    return [names[part] if weighs else FILL for part, weighs in zip(largest.tolist(), weighed.tolist(), strict=True)]


def reasons(items: Indices, sources: Sequence[str], via: Indices, whom: Person, view: View) -> list[str]:
    """Return a reason per item; `via` names the liked item that brought it."""
    each = zip(items.tolist(), sources, via.tolist(), strict=True)
    return [_reason(index, source, liked, whom, view) for index, source, liked in each]


def _reason(index: int, source: str, liked: int, whom: Person, view: View) -> str:
    category = view.categories.names[view.category[index]]
    if source == "neighbors":
        return f"Because you liked {view.titles[liked] or view.items.names[liked]}"
    if source == "affinity":
        return f"You like {_topic(index, whom, view) or category}"
    if source == "trending":
        return "Trending now"
    if source == "segment":
        return "Popular with people like you"
    if source == "fresh":
        return f"New in {category}"
    return f"Popular in {category}"


def _topic(index: int, whom: Person, view: View) -> str:
    """Return the item's topic that the person cares for most."""
    subject = view.subjects[view.items.names[index]]
    stated = [topic for topic in subject.topics if topic in whom.features.preferred]
    best = max(subject.topics, key=lambda topic: (whom.features.topics.get(topic, 0.0), topic), default="")
    if stated:
        return stated[0]
    return best if whom.features.topics.get(best, 0.0) > 0 else ""
