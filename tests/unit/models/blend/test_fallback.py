"""Single features take over only where they lead, steadily, and by how clearly they do."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.blend.blender import Blender
from models.blend.fallback import Fallback
from tests.build import whole

MISS = 11.0
CONTEXT = (0,)


def judged(*ranks: float, blend: float, outcomes: int, outcome_weight: float = 1.0) -> NDArray[np.float64]:
    """Return the shares after outcomes that are all ranked alike."""
    fallback = Fallback(len(ranks))
    for _ in range(outcomes):
        fallback.judge(np.array(ranks), blend, outcome_weight=outcome_weight)
    return fallback.shares


def test_a_feature_that_leads_takes_the_whole_score_in_time() -> None:
    assert judged(1.0, MISS, blend=3.0, outcomes=1_100) == pytest.approx([1.0, 0.0])


def test_features_behind_the_blend_have_no_share() -> None:
    assert not judged(2.0, MISS, blend=1.0, outcomes=500).any()
    assert not judged(2.0, MISS, blend=2.0, outcomes=500).any()


def test_one_hit_is_no_evidence_and_the_hits_of_the_first_users_are_little() -> None:
    assert not judged(1.0, blend=MISS, outcomes=1).any()
    assert 0.0 < judged(1.0, blend=MISS, outcomes=50).sum() < 0.06
    assert judged(1.0, blend=MISS, outcomes=200).sum() < 0.21


def test_outcomes_that_count_little_move_little() -> None:
    light = judged(1.0, blend=MISS, outcomes=5, outcome_weight=0.1).sum()
    assert light == 0.0 < judged(1.0, blend=MISS, outcomes=5).sum()


def test_features_that_lead_alike_share_alike_and_the_clearer_lead_has_more() -> None:
    assert judged(2.0, 2.0, blend=MISS, outcomes=1_100) == pytest.approx([0.5, 0.5])
    first, second = judged(1.0, 6.0, blend=MISS, outcomes=20)
    assert first > second > 0


def test_a_lead_is_lost_again_when_the_blend_ranks_better() -> None:
    fallback = Fallback(1)
    for rank, blend in ((1.0, MISS), (MISS, 1.0)):
        for _ in range(200):
            fallback.judge(np.array([rank]), blend, outcome_weight=1.0)
    assert not fallback.shares.any()


def test_the_sums_restore_the_shares() -> None:
    fallback, copy = Fallback(2), Fallback(2)
    for _ in range(6):
        fallback.judge(np.array([1.0, 4.0]), MISS, outcome_weight=1.0)
    copy.restore(fallback.state())
    assert fallback.shares.any()
    np.testing.assert_array_equal(copy.shares, fallback.shares)


def a_blender() -> Blender:
    return Blender({"near": 2.0, "popular": 0.1}, (1,))


def test_without_a_lead_the_learned_weights_serve_with_the_users_offset() -> None:
    blender, offset = a_blender(), np.array([0.5, -0.5])
    np.testing.assert_array_equal(blender.serving_weights(CONTEXT), blender.weights(CONTEXT))
    np.testing.assert_array_equal(blender.serving_weights(CONTEXT, offset), blender.weights(CONTEXT) + offset)


def test_a_feature_with_the_whole_score_ranks_alone_whatever_the_users_offset() -> None:
    blender, values = a_blender(), np.array([[3.0, 0.0, 1.0], [1.0, 3.0, 2.0]], np.float32)
    for _ in range(1_100):
        blender.fallback.judge(np.array([MISS, 1.0]), MISS, outcome_weight=1.0)
    weights = blender.serving_weights(CONTEXT, np.array([5.0, -5.0])).astype(np.float32)
    assert np.argsort(-whole(values).weighted_sum(weights)).tolist() == [1, 2, 0]
    assert weights[0] == pytest.approx(0.0, abs=1e-6)
