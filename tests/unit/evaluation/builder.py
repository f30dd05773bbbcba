"""Streams written by hand, and a model that says what it is told to and notes what it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evaluation.protocols.stream import Stream, of_dataset
from loaders import Dataset
from models.base import Model, ModelEvent, ModelQuery, Scores
from schemas.types import Item
from tests.build import an_interaction

Line = tuple[str, str, float | None, int]
"""User, item, stars or None for a click, second."""


def a_stream(*lines: Line, repeats: bool | None = None, items: Sequence[Item] = ()) -> Stream:
    """Return the stream of these events."""
    events = [
        an_interaction(
            user_id=user, item_id=item, action="click" if stars is None else "rate", value=stars, occurred_at=1000 * at
        )
        for user, item, stars, at in lines
    ]
    data = Dataset(name="by hand", items=list(items), profiles=[], interactions=events)
    return of_dataset(data, repeats=repeats)


def filler(count: int) -> list[Line]:
    """Return so many events before second 100: someone else's, one item each, the lowest and the highest rating."""
    return [(f"other{n}", f"f{n}", 5.0 if n % 2 else 1.0, n) for n in range(count)]


class Scripted(Model):
    """Scores items as told, the others 0, and keeps a log."""

    name = "scripted"

    def __init__(self, scores: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self._scores = scores or {}
        self.log: list[str] = []
        self.queries: list[ModelQuery] = []

    def learn(self, events: Sequence[ModelEvent]) -> None:
        for event in events:
            self.items.add(event.item_id)
            self.log.append(f"learn {event.user_id}:{event.item_id}")

    def scores(self, queries: Sequence[ModelQuery]) -> Scores:
        self.queries += queries
        self.log += [f"rank {query.user_id}" for query in queries]
        row = [self._scores.get(item, 0.0) for item in self.items.names]
        return np.tile(np.array(row), (len(queries), 1))
