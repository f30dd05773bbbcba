"""On sparse streams the blend ranks no worse than the best of its own features, which its learned weights alone do."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from evaluation.contestants.blend import BlendCandidate
from evaluation.contestants.contestant import EvalContext
from evaluation.protocols.stream import of_dataset
from loaders.datasets.sparse import Shape, build
from models.blend.fallback import LISTED
from models.blend.feature_matrix import rank_of
from streams.core.ranking.ordering import Candidates, score, weights_for

SHAPE = Shape(
    ratings=4_000, users=400, items=2_500, days=1_500, exponent=0.6, life_days=1_000, own_share=0.1, sitting=3
)
SEEDS = (0, 1, 2)
WARM_UP = 1_500
"""Outcomes that are learned before any counts."""


@dataclass
class Gains:
    """NDCG@10 of each outcome by what serves, by the learned weights alone, and by each feature alone."""

    model: BlendCandidate
    rows: list[list[float]] = field(default_factory=list)

    def add(self, candidates: Candidates, chosen_index: int) -> None:
        learner, query, members = self.model.learner, candidates.query, np.flatnonzero(candidates.is_admissible)
        offset = learner.weights.offset(query.features.user_id)
        learned_weights = learner.blender.weights(query.context) + (0.0 if offset is None else offset)
        serving = rank_of(score(candidates, weights_for(query, learner.blender)), chosen_index)
        ranks = np.array(
            [
                serving,
                rank_of(score(candidates, learned_weights), chosen_index),
                *candidates.features.subset(members).ranks(int(members.searchsorted(chosen_index)), list_length=LISTED),
            ]
        )
        self.rows.append(np.where(ranks <= LISTED, 1 / np.log2(1 + ranks), 0.0).tolist())

    def means(self) -> tuple[float, float, float]:
        """Return the mean gain of what serves, of the learned weights, and of the best feature."""
        serving, learned_gain, *features = np.array(self.rows)[WARM_UP:].mean(axis=0).tolist()
        return serving, learned_gain, max(features)


@pytest.fixture(scope="module", params=SEEDS)
def means(request: pytest.FixtureRequest) -> tuple[float, float, float]:
    stream = of_dataset(build(SHAPE, seed=request.param))
    model = BlendCandidate(EvalContext(catalogue=(), seed=0))
    gains = Gains(model)
    model.learner.on_outcome = gains.add
    model.learn(stream.events)
    return gains.means()


def test_the_blend_is_not_below_its_best_feature(means: tuple[float, float, float]) -> None:
    serving, _, best = means
    assert serving >= 0.98 * best
