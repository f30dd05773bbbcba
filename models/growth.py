"""Growth of arrays with an entry for each of a growing number of things."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

A = TypeVar("A", bound=np.generic)


def padded(rows: NDArray[A], count: int) -> NDArray[A]:
    """Return an array with zeros appended to its first axis.

    Args:
        rows: The array.
        count: Number of rows of the result, at least those of the array.

    >>> padded(np.ones((1, 2)), 2).tolist()
    [[1.0, 1.0], [0.0, 0.0]]
    """
    return np.concatenate([rows, np.zeros((count - len(rows), *rows.shape[1:]), rows.dtype)])
