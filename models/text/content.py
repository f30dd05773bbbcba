"""Content-based model: items with texts similar to those of the last liked items (Pazzani and Billsus, 2007).

It can recommend an item by its text before the first event on it: `nearest` ranks all described items, while `scores`
covers the items of events, as in every model.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

import numpy as np

from models.base import ModelEvent, ModelQuery, Ranked, Scores, top
from models.fallback_model import FallbackModel
from models.refitting import history
from models.text.tfidf import TextEncoder, TfIdf, Vectors
from models.vocabulary import MISSING, Vocabulary


class ContentModel(FallbackModel):
    """Scores an item by the dot product of its embedding with the weighted sum of those of the last liked items."""

    def __init__(
        self,
        encoder: TextEncoder | None = None,
        texts: Mapping[str, str] | None = None,
        *,
        position_discount: float = 0.9,
    ) -> None:
        """Start with some texts.

        Args:
            encoder: The text encoder; TF-IDF by default.
            texts: Texts by item id.
            position_discount: Discount per step back in the query's history, on (0, 1].
        """
        super().__init__()
        self._encoder, self._position_discount = encoder or TfIdf(), position_discount
        self.name = f"content-{self._encoder.name}"
        self._described_items = Vocabulary()
        self._texts: list[str] = []
        self._vectors: Vectors = np.zeros((0, 0), np.float32)
        self._due = 1
        self._text_index = array("q")
        self.describe(texts or {})

    def describe(self, texts: Mapping[str, str]) -> None:
        """Add or replace the texts of items, keyed by item id.

        The encoder is refitted to all texts when their number has doubled since the last fit.
        """
        changed_items = []
        for item_id, text in texts.items():
            number = self._described_items.add(item_id)
            if number == len(self._texts):
                self._texts.append(text)
                item = self.items.get(item_id)
                if item != MISSING:
                    self._text_index[item] = number
            self._texts[number] = text
            changed_items.append(number)
        if len(self._texts) >= self._due:
            self._encoder.fit(self._texts)
            self._vectors = self._encoder.encode(self._texts)
            self._due = 2 * len(self._texts)
        elif changed_items:
            vectors = np.zeros((len(self._texts), self._vectors.shape[1]), np.float32)
            vectors[: len(self._vectors)] = self._vectors
            vectors[changed_items] = self._encoder.encode([self._texts[number] for number in changed_items])
            self._vectors = vectors

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Register the items of the events and their popularity."""
        self._fallback.learn(events)
        names = self.items.names
        self._text_index.extend(
            self._described_items.get(names[item]) for item in range(len(self._text_index), len(names))
        )

    def nearest(self, query: ModelQuery, k: int) -> Ranked:
        """Return the best of all described items, with or without events; none for a query without liked items.

        Args:
            query: The query with its recent items.
            k: Number of items, at most.
        """
        similarity = self._similarity(query)
        if similarity is None:
            return Ranked([], np.empty(0))
        return top(self._described_items.names, similarity, k, query.exclude)

    def _query_scores(self, query: ModelQuery) -> Scores | None:
        """Return the similarity of each item to the query's liked items, or None without any."""
        similarity = self._similarity(query)
        if similarity is None:
            return None
        text_index = np.array(self._text_index, np.int64)
        return np.where(text_index == MISSING, -np.inf, similarity[text_index])

    def _similarity(self, query: ModelQuery) -> Scores | None:
        """Return a score for each described item."""
        likes = history(query, self._described_items, position_discount=self._position_discount, dislike_confidence=0.0)
        if not likes:
            return None
        weights = np.fromiter(likes.values(), np.float32, len(likes))
        profile = weights @ self._vectors[list(likes)]
        return (self._vectors @ profile).astype(np.float64)
