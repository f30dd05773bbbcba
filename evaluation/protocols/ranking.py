"""Ranks of target items without a full sort, by masks over the item numbers of a model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluation.protocols.stream import Stream
from models.vocabulary import Vocabulary

K = 10
"""Length of the evaluated lists."""
NOBODY = -1
_OWN = 2
"""Stream of random numbers of ties, distinct from those of models with the same seed."""


class TargetRanks(NamedTuple):
    """Ranks of the targets, from 1, and the top items by their numbers in the stream, padded with -1."""

    ranks: NDArray[np.int32]
    top: NDArray[np.int32]


class ItemRanking:
    """Ranking by a model's scores; ties are broken at random, and non-finite scores come last."""

    def __init__(self, stream: Stream, items: Vocabulary, *, seed: int) -> None:
        self._numbers = {name: number for number, name in enumerate(stream.items)}
        self._items = items
        self._in_model = np.full(len(stream.items), NOBODY, np.int32)
        self._in_stream = np.full(len(stream.items), NOBODY, np.int32)
        self._item_count = 0
        self._draw = np.random.default_rng((_OWN, seed))

    def rank(
        self, scores: NDArray[np.float64], excluded_items: NDArray[np.int32], targets: NDArray[np.int32]
    ) -> TargetRanks:
        """Return the ranks of the targets among all items of the model except the touched ones.

        A target unknown to the model ranks after all others, and below the top 10 even in a short list.
        """
        self._learn_numbers()
        keep = np.ones(len(scores), np.bool_)
        touched_indices = self._in_model[excluded_items]
        keep[touched_indices[touched_indices >= 0]] = False
        finite = np.where(np.isfinite(scores), scores, -np.inf)
        noise = self._draw.random(len(scores))
        candidates = np.flatnonzero(keep)
        return TargetRanks(
            self._ranks(finite, noise, keep, targets),
            self._top(candidates, finite[candidates], noise[candidates]),
        )

    def _ranks(
        self,
        scores: NDArray[np.float64],
        noise: NDArray[np.float64],
        keep: NDArray[np.bool_],
        targets: NDArray[np.int32],
    ) -> NDArray[np.int32]:
        last = max(int(keep.sum()), K) + 1
        ranks = np.full(len(targets), last, np.int32)
        for at, target in enumerate(self._in_model[targets]):
            if target >= 0 and keep[target]:
                before = (scores > scores[target]) | ((scores == scores[target]) & (noise < noise[target]))
                ranks[at] = 1 + np.count_nonzero(before & keep)
        return ranks

    def _top(
        self, candidates: NDArray[np.intp], scores: NDArray[np.float64], noise: NDArray[np.float64]
    ) -> NDArray[np.int32]:
        top = np.full(K, NOBODY, np.int32)
        if len(candidates) > K:
            bound = np.partition(scores, len(scores) - K)[len(scores) - K]
            above = np.flatnonzero(scores >= bound)
            candidates, scores, noise = candidates[above], scores[above], noise[above]
        best = candidates[np.lexsort((noise, -scores))[:K]]
        top[: len(best)] = self._in_stream[best]
        return top

    def _learn_numbers(self) -> None:
        """Map the numbers of the model's new items to those of the stream."""
        names = self._items.names
        if len(names) > len(self._in_stream):
            self._in_stream = np.concatenate((self._in_stream, np.full(len(names), NOBODY, np.int32)))
        for number in range(self._item_count, len(names)):
            stream_index = self._numbers.get(names[number], NOBODY)
            self._in_stream[number] = stream_index
            if stream_index >= 0:
                self._in_model[stream_index] = number
        self._item_count = len(names)
