from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.core.params import RankParams
from streams.core.ranking.stages.diversity import diversify
from tests.params import RANK_PARAMS


def plainly(labels: list[int], params: RankParams, most: int) -> list[int]:
    """Return the same by the rule alone: the best that the window lets in, else the best."""
    waiting, selection = list(range(len(labels))), []
    while waiting and len(selection) < params.max_recommendations:
        window = [labels[place] for place in selection[-(params.diversity_window - 1) :]]
        fitting = [place for place in waiting if window.count(labels[place]) < most] or waiting
        selection.append(fitting[0])
        waiting.remove(fitting[0])
    return selection


@given(st.lists(st.integers(0, 3), max_size=60), st.sampled_from([(0.5, 4, 2), (0.7, 10, 7), (0.3, 3, 1), (1.0, 5, 5)]))
def test_the_best_is_taken_that_the_window_lets_in(labels: list[int], cap: tuple[float, int, int]) -> None:
    share, window, most = cap
    params = replace(RANK_PARAMS, max_recommendations=20, diversity_cap=share, diversity_window=window)
    order = np.arange(100, 100 + len(labels))
    positions = diversify(order, np.array(labels, np.int32), params)
    assert (positions - 100).tolist() == plainly(labels, params, most)
