"""The blender: weighs parts of a score by the outcomes of the stream itself.

A conditional logit (McFadden 1974): of all candidates of a moment, the one that was taken has the probability
exp(w·x) / Σ exp(w·x'), where x are its parts and w depends on the context: one shared vector, plus one for each class
of each context, such as the length of the user's history. Each outcome moves w up its gradient, with steps that shrink
per weight (AdaGrad, Duchi et al. 2011). The propensity of popular items is learned away like everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.parts import Parts

Weights = NDArray[np.float64]
Context = tuple[int, ...]
"""The class of each context, in the order of the blender's classes."""

_RATE = 0.1
_FIRST_STEP = 1e-6


class Blender:
    """Weights of parts, by context."""

    def __init__(self, prior: Mapping[str, float], classes: Sequence[int], *, rate: float = _RATE) -> None:
        """Start from prior weights by part; `classes` says how many classes each context has."""
        self.parts = tuple(prior)
        self._starts = np.cumsum([1, *classes[:-1]])
        self._rate = rate
        self.table: Weights = np.zeros((1 + sum(classes), len(prior)))
        """(1 + classes, parts): the shared weights, then those of each class."""
        self.table[0] = list(prior.values())
        self._squares = np.full_like(self.table, _FIRST_STEP)
        self.outcomes = 0
        """Outcomes learned from."""
        self._known: dict[Context, Weights] = {}
        """What was asked for since the table last changed."""

    def weights(self, context: Context) -> Weights:
        """Return (parts,) what each part counts in a context; it is shared, so make a copy to change it."""
        known = self._known.get(context)
        if known is None:
            known = self._known[context] = self.table[self._rows(context)].sum(axis=0)
            known.flags.writeable = False
        return known

    def learn(self, parts: Parts, taken: int, context: Context, *, among: NDArray[np.bool_] | None = None) -> None:
        """Learn that of (parts, n) candidates, or of some among them, the one at place `taken` was the outcome."""
        scores = parts.weighed(self.weights(context).astype(np.float32))
        if among is not None:
            scores[~among] = -np.inf
        chances = np.exp(scores - scores.max())
        expected = parts.expected(chances / chances.sum())
        gradient = parts.at(slice(taken, taken + 1))[:, 0].astype(np.float64) - expected
        rows = self._rows(context)
        self._squares[rows] += gradient**2
        self.table[rows] += self._rate * gradient / np.sqrt(self._squares[rows])
        self.outcomes += 1
        self._known.clear()

    def state(self) -> dict[str, Weights]:
        """Return everything learned, as arrays."""
        return {"table": self.table, "squares": self._squares, "outcomes": np.array([float(self.outcomes)])}

    def restore(self, state: Mapping[str, Weights]) -> None:
        """Take over what another blender of the same parts and classes learned.

        Raises:
            ValueError: it is of another shape.
        """
        if state["table"].shape != self.table.shape:
            raise ValueError(f"weights of shape {state['table'].shape} do not fit {self.table.shape}")
        self.table, self._squares = state["table"].copy(), state["squares"].copy()
        self.outcomes = int(state["outcomes"][0])
        self._known.clear()

    def _rows(self, context: Context) -> NDArray[np.intp]:
        return np.array([0, *(self._starts + context)], np.intp)
