"""A model of your own, compared with the models of the registry on real or generated events.

A model has a name, learns events in order, and scores all items for a query. The replay ranks each event before the
model learns it. This one recommends the items that users went on to from the last item.

Run it; without a data set it takes the demo's generated one:

    python examples/own_model.py
    python examples/own_model.py --data ml-100k
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import typer

from evaluation.metrics.accuracy import accuracy
from evaluation.protocols.replay import replay
from evaluation.protocols.stream import Stream, of_dataset
from loaders import Dataset
from loaders.datasets import detect, world
from models.base import Model, ModelEvent, ModelQuery, Scores
from models.baselines.popularity import Popularity

NOW_MS = 1_700_000_000_000


class NextItem(Model):
    """Scores items by how often they came right after the last item of the query, then by how often at all."""

    name = "next-item"

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, int] = {}
        self._counts: Counter[int] = Counter()
        self._next: dict[int, Counter[int]] = defaultdict(Counter)

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Count each event's item, and the transition to it from the user's item before."""
        for event in events:
            item = self.items.add(event.item_id)
            if event.user_id in self._last:
                self._next[self._last[event.user_id]][item] += 1
            self._last[event.user_id] = item
            self._counts[item] += 1

    def scores(self, queries: Sequence[ModelQuery]) -> Scores:
        """Return transitions from the last item, plus a share of all events that decides between equals."""
        shares = np.array([self._counts[item] for item in range(len(self.items))]) / max(self._counts.total(), 1)
        scores = np.tile(shares, (len(queries), 1))
        for row, query in zip(scores, queries, strict=True):
            if query.recent:
                for item, count in self._next[self.items.get(query.recent[0][0])].items():
                    row[item] += count
        return scores


def compare(stream: Stream) -> dict[str, float]:
    """Return NDCG@10 of each model on the last fifth of the events."""
    models: tuple[Model, ...] = (Popularity(), NextItem())
    return {model.name: accuracy(replay(model, stream, "prequential-strict")).mean()["ndcg"] for model in models}


def generated_clicks() -> Dataset:
    """Return the clicks of the demo's generated users."""
    dataset = world.build(seed=0, now_ms=NOW_MS, users=100)
    return replace(dataset, interactions=[event for event in dataset.interactions if event.action == "click"])


def main(data: Path | None = None) -> None:
    """Compare the model with the most popular items."""
    dataset = generated_clicks() if data is None else detect.read(data)
    for name, ndcg in compare(of_dataset(dataset)).items():
        print(f"{name:12} NDCG@10 {ndcg:.4f}")


if __name__ == "__main__":
    typer.run(main)
