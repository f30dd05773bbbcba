"""The blender: weighs parts of a score by the outcomes of the stream itself.

A conditional logit (McFadden 1974): of all candidates of a moment, the one that was taken has the probability
exp(w·x) / Σ exp(w·x'), where x are its parts and w depends on the context: one shared vector, plus one for each class
of each context, such as the length of the user's history. The propensity of popular items is learned away like
everything else.

Each outcome moves a vector up its gradient, with steps that shrink per weight (AdaGrad, Duchi et al. 2011). What serves
is a running mean of where these steps lead (Polyak and Juditsky 1992): it starts from the prior weights, which count as
many outcomes as the mean is over, so that no single outcome, and no single user, is seen in anybody else's ranking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.blend.feature_matrix import FeatureMatrix

Weights = NDArray[np.float64]
Mask = NDArray[np.bool_]
Context = tuple[int, ...]
"""The class of each context, in the order of the blender's classes."""

AVERAGED = 200.0
"""Outcomes that the weights in service are the mean of, and that prior weights count."""
_RATE = 0.1
_PRIOR_SQUARES = 100.0
"""Squares of gradients that are taken for granted: some hundred outcomes."""
_SQUARES_KEPT = 0.9999
"""What an outcome leaves of the squares before it, so that weights never stop following the stream."""
_SCALE_OUTCOMES = 1_000.0
"""Outcomes over which the usual gradient is measured."""
_BOUND, _EARNED = 1.0, 500.0
"""How far a weight may go from where it began, and outcomes of its context that earn it the same again."""


class Blender:
    """Weights of parts, by context."""

    def __init__(self, prior: Mapping[str, float], classes: Sequence[int], *, rate: float = _RATE) -> None:
        """Start from prior weights by part; `classes` says how many classes each context has."""
        self.features = tuple(prior)
        self._starts = np.cumsum([1, *classes[:-1]])
        self._rate = rate
        table: Weights = np.zeros((1 + sum(classes), len(prior)))
        table[0] = list(prior.values())
        self._scales = np.ones(len(prior))
        """(parts,) mean squares of gradients."""
        self.outcomes = 0
        """Outcomes learned from."""
        self._weights_by_context: dict[Context, Weights] = {}
        """Weights in service that were asked for since they last changed."""
        self._begin(table, np.full_like(table, _PRIOR_SQUARES))

    def weights(self, context: Context) -> Weights:
        """Return (parts,) the weights in service in a context; they are shared, so make a copy to change them."""
        weights = self._weights_by_context.get(context)
        if weights is None:
            weights = self._weights_by_context[context] = self.table[self._rows(context)].sum(axis=0)
            weights.flags.writeable = False
        return weights

    @property
    def scale(self) -> Weights:
        """Return (parts,) the usual size of a gradient."""
        return np.sqrt(self._scales)

    def learn(
        self,
        features: FeatureMatrix,
        chosen_index: int,
        context: Context,
        *,
        among: Mask | None = None,
        share: float = 1.0,
    ) -> None:
        """Learn from one outcome.

        Args:
            parts: (parts, n) what was there to choose from.
            taken: The place of the candidate that was chosen.
            context: The classes of the moment.
            among: (n,) which candidates could be chosen; all by default.
            share: From 0 to 1, how much the outcome counts; less than 1 for another one of the same user.
        """
        rows = self._rows(context)
        slope = gradient(features, chosen_index, self._latest[rows].sum(axis=0), among=among)
        self._scales += share * (slope**2 - self._scales) / _SCALE_OUTCOMES
        squares: Weights = _SQUARES_KEPT * self._squares[rows] + share * slope**2
        self._squares[rows] = squares
        self._counts[rows] += share
        reach = _BOUND * (1.0 + self._counts[rows, None] / _EARNED)
        latest = self._latest[rows] + share * self._rate * slope / np.sqrt(squares)
        self._latest[rows] = latest = np.clip(latest, self._first[rows] - reach, self._first[rows] + reach)
        self.table[rows] += share * (latest - self.table[rows]) / AVERAGED
        self.outcomes += 1
        self._weights_by_context.clear()

    def state(self) -> dict[str, Weights]:
        """Return what was learned, as arrays; the steps on their way are left out."""
        outcomes = np.array([float(self.outcomes)])
        return {"table": self.table, "squares": self._squares, "scales": self._scales, "outcomes": outcomes}

    def restore(self, state: Mapping[str, Weights]) -> None:
        """Take over what another blender of the same parts and classes learned.

        Raises:
            ValueError: it is of another shape.
        """
        if state["table"].shape != self.table.shape:
            raise ValueError(f"weights of shape {state['table'].shape} do not fit {self.table.shape}")
        self._scales = state["scales"].copy()
        self.outcomes = int(state["outcomes"][0])
        self._begin(state["table"].copy(), state["squares"].copy())

    def _begin(self, table: Weights, squares: Weights) -> None:
        self.table = table
        """(1 + classes, parts): the shared weights in service, then those of each class."""
        self._latest, self._first, self._squares = table.copy(), table.copy(), squares
        self._counts = np.zeros(len(table))
        """Outcomes by row of the table, from where it began."""
        self._weights_by_context.clear()

    def _rows(self, context: Context) -> NDArray[np.intp]:
        return np.array([0, *(self._starts + context)], np.intp)


def gradient(features: FeatureMatrix, chosen_index: int, weights: Weights, *, among: Mask | None = None) -> Weights:
    """Return (parts,) how the logarithm of an outcome's probability grows with each weight; zeros for no number.

    Args:
        parts: (parts, n) what was there to choose from.
        taken: The place of the candidate that was chosen.
        weights: (parts,) by which they are weighed.
        among: (n,) which candidates could be chosen; all by default.
    """
    scores = features.weighted_sum(weights.astype(np.float32))
    if among is not None:
        scores[~among] = -np.inf
    chances = np.exp(scores - scores.max())
    expected = features.expectation(chances / chances.sum())
    slope: Weights = features.column(slice(chosen_index, chosen_index + 1))[:, 0].astype(np.float64) - expected
    return slope if np.isfinite(slope).all() else np.zeros_like(slope)
