"""Parts in blocks say what they would say in one array."""

import numpy as np
import pytest

from models.blend.feature_matrix import FeatureMatrix, rows_of
from tests.build import whole

RNG = np.random.default_rng(3)
DENSE = RNG.random((4, 6), np.float32)
"""Parts a, b, c, d; the blocks hold them in another order, with a row that is none of them between."""
BLOCKS = FeatureMatrix(
    [
        (rows_of(["c", "none", "a"], "abcd"), np.stack([DENSE[2], RNG.random(6, np.float32), DENSE[0]])),
        (rows_of(["b", "d"], "abcd"), DENSE[[1, 3]]),
    ]
)


@pytest.mark.parametrize("parts", [BLOCKS, whole(DENSE)])
def test_blocks_are_weighed_averaged_and_read_as_one_array(parts: FeatureMatrix) -> None:
    weights, shares = RNG.random(4, np.float32), RNG.random(6, np.float32)
    assert parts.weighted_sum(weights) == pytest.approx(weights @ DENSE, rel=1e-6)
    assert parts.expectation(shares) == pytest.approx(DENSE @ shares, rel=1e-6)
    np.testing.assert_array_equal(parts.column(np.array([5, 0, 5])), DENSE[:, [5, 0, 5]])
    np.testing.assert_array_equal(parts.column(slice(None)), DENSE)


def test_items_are_ranked_by_each_feature_alone() -> None:
    parts = FeatureMatrix(
        [
            (rows_of(["a", "none"], "abcd"), np.array([[2, 2, 3, 2], [9, 9, 9, 0]], np.float32)),
            (rows_of(["b", "d"], "abcd"), np.array([[1, 2, 3, 4], [0, 1, 0, 0]], np.float32)),
        ]
    )
    assert parts.ranks(0, list_length=4).tolist() == [3.0, 4.0, np.inf, np.inf], (
        "tied items share a rank, and 0 claims none"
    )
    assert parts.ranks(0, list_length=3).tolist() == [3.0, np.inf, np.inf, np.inf], "three items come before"
