"""The blender: feature weights of the ranking score, learned online from choices.

A conditional logit (McFadden 1974): among the candidates of a choice, the chosen one has the probability
exp(w·x) / Σ exp(w·x'), where x are its features and w depends on the context: one shared vector, plus one for each
class of each context, such as the length of the user's history. The logit also corrects for the popularity of items.

Each outcome moves a vector up its gradient, with step sizes that shrink per weight (AdaGrad, Duchi et al. 2011). The
serving weights are a running mean of the iterates (Polyak and Juditsky 1992). The mean starts from the prior weights,
which count as many outcomes as the mean spans, so that no single outcome or user visibly changes another's ranking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.blend.fallback import Fallback
from models.blend.feature_matrix import Column, FeatureMatrix

Weights = NDArray[np.float64]
Context = tuple[int, ...]
"""The class of each context, in the order of the blender's classes."""

AVERAGED = 200.0
"""Outcomes in the running mean of the serving weights; the prior weights count as many."""
_RATE = 0.1
_PRIOR_SQUARES = 100.0
"""Initial sum of squared gradients, worth some hundred outcomes."""
_SQUARES_KEPT = 0.9999
"""Decay of the squared gradients per outcome, so that the step size never vanishes."""
_SCALE_OUTCOMES = 1_000.0
"""Outcomes in the running mean of the squared gradients."""
_MIN_SCALE = 1e-3
"""Least scale of a leading feature."""
_BOUND, _EARNED = 1.0, 500.0
"""Bound on a weight's distance from its prior, and the outcomes of its context that raise the bound by as much."""


class Blender:
    """Feature weights by context.

    >>> from models.blend.feature_matrix import rows_of
    >>> blender = Blender({"near": 1.0, "popular": 0.0}, classes=[2])
    >>> values = np.array([[0.0, 0.0], [1.0, 0.0]], np.float32)  # the first candidate is popular, and neither is near
    >>> for _ in range(100):
    ...     blender.learn(FeatureMatrix([(rows_of(blender.features, blender.features), values)]), 0, context=(1,))
    >>> near, popular = blender.weights((1,)).tolist()
    >>> near, popular > 0
    (1.0, True)
    """

    def __init__(self, prior: Mapping[str, float], classes: Sequence[int], *, rate: float = _RATE) -> None:
        """Start from prior weights.

        Args:
            prior: Prior weight of each feature.
            classes: Number of classes of each context.
            rate: Learning rate.
        """
        self.features = tuple(prior)
        self._starts = np.cumsum([1, *classes[:-1]])
        self._rate = rate
        table: Weights = np.zeros((1 + sum(classes), len(prior)))
        table[0] = list(prior.values())
        self._scales = np.ones(len(prior))
        """(features,) mean squared gradients."""
        self.fallback = Fallback(len(prior))
        """The features' leads over the learned weights."""
        self.outcomes = 0
        """Number of outcomes learned from."""
        self._weights_by_context: dict[Context, Weights] = {}
        """Cache of serving weights, cleared by each outcome."""
        self._begin(table, np.full_like(table, _PRIOR_SQUARES))

    def weights(self, context: Context) -> Weights:
        """Return the (features,) learned weights in a context, as a shared read-only array."""
        weights = self._weights_by_context.get(context)
        if weights is None:
            weights = self._weights_by_context[context] = self.table[self._rows(context)].sum(axis=0)
            weights.flags.writeable = False
        return weights

    def serving_weights(self, context: Context, offset: Weights | None = None) -> Weights:
        """Return the (features,) weights that serve in a context: the learned ones, but for the fallback's share.

        Each leading feature spreads the scores about as much as the learned weights would with its share.

        Args:
            context: Class of each context.
            offset: (features,) offset of a user from the learned weights.
        """
        shared_weights, shares = self.weights(context), self.fallback.shares
        learned_weights = shared_weights if offset is None else shared_weights + offset
        if not shares.any():
            return learned_weights
        scale = self.scale
        spread = np.linalg.norm(learned_weights * scale)
        leading: Weights = shares * spread / np.maximum(scale, _MIN_SCALE)
        return (1.0 - float(shares.sum())) * learned_weights + leading

    @property
    def scale(self) -> Weights:
        """Return (features,) root mean squared gradients."""
        return np.sqrt(self._scales)

    def learn(
        self,
        features: FeatureMatrix,
        chosen_index: int,
        context: Context,
        *,
        outcome_weight: float = 1.0,
    ) -> None:
        """Learn from one outcome.

        Args:
            features: (features, n) values of the candidates.
            chosen_index: Index of the chosen candidate.
            context: Class of each context.
            outcome_weight: Weight of the outcome, from 0 to 1; less than 1 for further outcomes of the same user.
        """
        rows = self._rows(context)
        scores = features.weighted_sum(self._latest[rows].sum(axis=0).astype(np.float32))
        slope = gradient(features, chosen_index, scores)
        self._scales += outcome_weight * (slope**2 - self._scales) / _SCALE_OUTCOMES
        squares: Weights = _SQUARES_KEPT * self._squares[rows] + outcome_weight * slope**2
        self._squares[rows] = squares
        self._counts[rows] += outcome_weight
        reach = _BOUND * (1.0 + self._counts[rows, None] / _EARNED)
        latest = self._latest[rows] + outcome_weight * self._rate * slope / np.sqrt(squares)
        self._latest[rows] = latest = np.clip(latest, self._first[rows] - reach, self._first[rows] + reach)
        self.table[rows] += outcome_weight * (latest - self.table[rows]) / AVERAGED
        self.outcomes += 1
        self._weights_by_context.clear()

    def state(self) -> dict[str, Weights]:
        """Return the learned state as arrays, without the latest iterates."""
        outcomes = np.array([float(self.outcomes)])
        weights = {"table": self.table, "squares": self._squares, "scales": self._scales}
        return {**weights, **self.fallback.state(), "outcomes": outcomes}

    def restore(self, state: Mapping[str, Weights]) -> None:
        """Load the state of a blender with the same features and classes; its iterates start anew.

        Raises:
            ValueError: the state has another shape.
        """
        if state["table"].shape != self.table.shape:
            raise ValueError(f"weights of shape {state['table'].shape} do not fit {self.table.shape}")
        self._scales = state["scales"].copy()
        self.outcomes = int(state["outcomes"][0])
        self.fallback.restore(state)
        self._begin(state["table"].copy(), state["squares"].copy())

    def _begin(self, table: Weights, squares: Weights) -> None:
        self.table = table
        """(1 + classes, features): the shared serving weights, then those of each class."""
        self._latest, self._first, self._squares = table.copy(), table.copy(), squares
        self._counts = np.zeros(len(table))
        """Outcomes by row of the table, since construction or restore."""
        self._weights_by_context.clear()

    def _rows(self, context: Context) -> NDArray[np.intp]:
        return np.array([0, *(self._starts + context)], np.intp)


def gradient(features: FeatureMatrix, chosen_index: int, scores: Column) -> Weights:
    """Return the (features,) gradient of an outcome's log-probability; zeros where it is not finite.

    Args:
        features: (features, n) values of the candidates.
        chosen_index: Index of the chosen candidate.
        scores: (n,) scores of the candidates, by the weights at which the gradient is taken.

    >>> from models.blend.feature_matrix import rows_of
    >>> matrix = FeatureMatrix([(rows_of(["near"], ["near"]), np.array([[1.0, 0.0]], np.float32))])
    >>> gradient(matrix, 0, np.zeros(2, np.float32)).tolist()  # of the choice: 1, expected: 0.5
    [0.5]
    """
    chances = np.exp(scores - scores.max())
    expected = features.expectation(chances / chances.sum())
    slope: Weights = features.column(slice(chosen_index, chosen_index + 1))[:, 0].astype(np.float64) - expected
    return slope if np.isfinite(slope).all() else np.zeros_like(slope)
