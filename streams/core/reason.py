"""Why an item is in a feed, in words that are true: derived from the part of its score that weighed most."""

from __future__ import annotations

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
    return [_reason(index, source, whom, view) for index, source in zip(items.tolist(), sources, strict=True)]


def _reason(index: int, source: str, whom: Person, view: View) -> str:
    if source == "neighbors":
        liked = int(whom.via[index])
        return f"Because you liked {view.titles[liked] or view.items.names[liked]}"
    if source == "trending":
        return "Trending now"
    if source == "segment":
        return "Popular with people like you"
    category = view.categories.names[view.category[index]]
    if source == "affinity":
        return f"You like {_topic(index, whom, view) or category}"
    return f"New in {category}" if source == "fresh" else f"Popular in {category}"


def _topic(index: int, whom: Person, view: View) -> str:
    """Return the item's topic that the person cares for most."""
    subject = view.subjects[view.items.names[index]]
    stated = [topic for topic in subject.topics if topic in whom.features.preferred]
    best = max(subject.topics, key=lambda topic: (whom.features.topics.get(topic, 0.0), topic), default="")
    if stated:
        return stated[0]
    return best if whom.features.topics.get(best, 0.0) > 0 else ""
