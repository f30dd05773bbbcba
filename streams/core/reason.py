"""Why an item is in a feed, in words that are true: derived from the part of its score that weighed most."""

from __future__ import annotations

import math
from collections.abc import Sequence

from streams.core.source import Person
from streams.core.view import Indices, Scores, View

FILL = "popular"
"""The source of items that only fill a feed up."""


def leading(names: Sequence[str], parts: Scores) -> list[str]:
    """Return the name of each item's largest part; `parts` is (names, items)."""
    largest, weighs = parts.argmax(axis=0).tolist(), (parts.max(axis=0) > 0).tolist()
    return [names[part] if weighs_any else FILL for part, weighs_any in zip(largest, weighs, strict=True)]


def reasons(items: Indices, sources: Sequence[str], whom: Person, view: View) -> list[str]:
    """Return a reason per item."""
    topics = _favourite_topics(whom)
    each = zip(items.tolist(), sources, view.category[items].tolist(), whom.via[items].tolist(), strict=True)
    return [
        _FIXED.get(source) or _told(source, index, view.categories.names[category], liked, topics, view)
        for index, source, category, liked in each
    ]


_FIXED = {"trending": "Trending now", "segment": "Popular with people like you"}


def _told(source: str, index: int, category: str, liked: int, topics: dict[str, float], view: View) -> str:
    if source == "neighbors":
        return f"Because you liked {view.titles[liked] or view.items.names[liked]}"
    if source == "affinity":
        found = [topic for topic in view.subjects[view.items.names[index]].topics if topic in topics]
        return f"You like {max(found, key=topics.__getitem__) if found else category}"
    return f"New in {category}" if source == "fresh" else f"Popular in {category}"


def _favourite_topics(whom: Person) -> dict[str, float]:
    """Return the topics that the person cares for, with how much; stated ones come before found ones."""
    found = {topic: affinity for topic, affinity in whom.features.topics.items() if affinity > 0}
    return found | dict.fromkeys(whom.features.preferred, math.inf)
