"""The parts of a candidate's score: each says one thing for it, and 0 when it has nothing to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.names import Names
from streams.core.person import FAR, FAR_TASTE, FOLLOWING, LAST, NEAR, TASTE, Person
from streams.core.view import Column, View, Where

_LATELY = ((0, 1), (1, 2), (2, 3), (3, 6), (6, 20))
"""Steps back in a history between which an item was last acted on: a part for each."""


def affinity(whom: Person, view: View, where: Where) -> Column:
    """Score items by the person's affinities to their category and topics, as shares of the strongest."""
    told, columns = whom.features, view.columns
    if not (told.categories or told.topics or told.preferred):
        return columns.nothing[where]
    categories = _column(told.categories, view.categories, told.preferred)
    topics = _column(told.topics, view.topics, told.preferred)
    items, of_topics = columns.topic_pairs
    scores = np.bincount(items, topics[of_topics], minlength=columns.count)[where].astype(np.float32)
    np.minimum(np.maximum(scores, -1.0, out=scores), 1.0, out=scores)
    scores += categories.take(columns.category[where], mode="wrap")
    scores *= 0.5
    return scores


def segment(whom: Person, view: View, where: Where) -> Column:
    """Score items by their popularity with the person's demographic group, the less the more is known."""
    column = view.columns.segment(whom.features.segment)
    return view.columns.nothing[where] if column is None else column[where] * np.float32(whom.cold)


def again(whom: Person, view: View, where: Where) -> Column:
    """Score items by how often the person acted on them."""
    scores = np.zeros(view.columns.count, np.float32)
    known = view.items.known(whom.features.seen)
    scores[known[known < len(scores)]] = np.float32(np.log(2.0))
    for item, visits in whom.features.visits.items():
        index = view.items.get(item)
        if 0 <= index < len(scores):
            scores[index] = np.log1p(visits)
    return scores[where]


def prefetched(whom: Person, view: View, where: Where) -> Column:
    """Score what was fetched for the person."""
    scores = np.zeros(view.columns.count, np.float32)
    known = view.items.known(whom.features.prefetched)
    scores[known[known < len(scores)]] = 1.0
    return scores[where]


def lately(start: int, end: int) -> Callable[[Person, View, Where], Column]:
    """Return the part of items last acted on so many steps back."""

    def part(whom: Person, view: View, where: Where) -> Column:
        scores = np.zeros(view.columns.count, np.float32)
        scores[whom.history[start:end]] = 1.0
        scores[whom.history[:start]] = 0.0
        return scores[where]

    return part


@dataclass(frozen=True, slots=True)
class Part:
    """One part: the source that it is told as, what it counts before anything was learned, and its score."""

    source: str
    prior: float
    score: Callable[[Person, View, Where], Column]
    repeats: bool = False
    """Whether it speaks only where items are shown again."""


PARTS: Mapping[str, Part] = {
    "near": Part("neighbors", 0.9, lambda whom, view, where: whom.votes[NEAR][where]),
    "near_heard": Part("neighbors", 0.9, lambda whom, view, where: whom.heard[NEAR][where]),
    "far_heard": Part("neighbors", 0.1, lambda whom, view, where: whom.heard[FAR][where]),
    "last": Part("neighbors", 0.0, lambda whom, view, where: whom.votes[LAST][where]),
    "last_heard": Part("neighbors", 0.0, lambda whom, view, where: whom.heard[LAST][where]),
    "next": Part("neighbors", 0.2, lambda whom, view, where: whom.votes[FOLLOWING][where]),
    "next_heard": Part("neighbors", 0.1, lambda whom, view, where: whom.heard[FOLLOWING][where]),
    "taste": Part("taste", 0.1, lambda whom, view, where: whom.votes[TASTE][where]),
    "taste_heard": Part("taste", 0.05, lambda whom, view, where: whom.heard[TASTE][where]),
    "far_taste": Part("taste", 0.3, lambda whom, view, where: whom.votes[FAR_TASTE][where]),
    "affinity": Part("affinity", 1.0, affinity),
    "trending": Part("trending", 0.05, lambda whom, view, where: view.columns.trending[where]),
    "day": Part("trending", 0.0, lambda whom, view, where: view.columns.day[where]),
    "week": Part("popular", 0.0, lambda whom, view, where: view.columns.week[where]),
    "popular": Part("popular", 0.3, lambda whom, view, where: view.columns.popular[where]),
    "lasting": Part("popular", 0.0, lambda whom, view, where: view.columns.lasting[where]),
    "cohort": Part("popular", 0.1, lambda whom, view, where: view.columns.cohort(whom.cohort)[where]),
    "segment": Part("segment", 0.5, segment),
    "rated": Part("rated", 1.0, lambda whom, view, where: view.columns.rated[where]),
    "fresh": Part("fresh", 0.3, lambda whom, view, where: view.columns.fresh[where]),
    "prefetched": Part("prefetched", 3.0, prefetched),
    "again": Part("again", 1.0, again, repeats=True),
    **{f"lately_{start}": Part("again", 0.5, lately(start, end), repeats=True) for start, end in _LATELY},
}
"""By name; the blender has weights for each."""
PRIOR = {name: part.prior for name, part in PARTS.items()}
SOURCES = tuple(dict.fromkeys(part.source for part in PARTS.values()))
"""What a person is told of parts, which are too many to be told one by one."""


def parts_of(whom: Person, view: View, where: Where, *, repeats: bool) -> Column:
    """Return (parts, items)."""
    parts = np.zeros((len(PARTS), len(view.columns.every[where])), np.float32)
    for row, part in zip(parts, PARTS.values(), strict=True):
        if repeats or not part.repeats:
            row[:] = part.score(whom, view, where)
    return parts


def _column(affinities: Mapping[str, float], names: Names, preferred: Sequence[str]) -> Column:
    """Return affinities by number, as shares of the strongest; the last entry stands for no name and is 0."""
    column = np.zeros(len(names) + 1, np.float32)
    strongest = max((abs(affinity) for affinity in affinities.values()), default=0.0)
    if strongest > 0:
        for name, affinity in affinities.items():
            column[names.get(name)] = affinity / strongest
    for name in preferred:
        column[names.get(name)] = 1.0
    column[-1] = 0.0
    return column
