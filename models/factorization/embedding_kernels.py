"""Compiled loops over examples of item embeddings. They run without the interpreter's lock."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled, inlined

Vectors = NDArray[np.float32]
Numbers = NDArray[np.int32]


@inlined
def _add_context(user: Vectors, vectors: Vectors, context: Numbers, discounts: Vectors) -> np.float32:
    """Fill in the embedding of a user with a context, and return the factor of its items."""
    user[:] = 0.0
    total = np.float32(0.0)
    for place in range(len(context)):
        total += discounts[place]
        for one in range(len(user) - 1):
            user[one] += discounts[place] * vectors[context[place], one]
    scale: np.float32 = np.float32(1.0) / np.sqrt(total)
    for one in range(len(user) - 1):
        user[one] *= scale
    user[-1] = 1.0
    return scale


@inlined
def _fill_shares(shares: Vectors, user: Vectors, vectors: Vectors, choice: Numbers) -> None:
    """Fill in the softmax of the scores of some items; a sampled item equal to the last one has none."""
    last = len(choice) - 1
    highest = np.float32(-np.inf)
    for place in range(len(choice)):
        score = np.float32(0.0)
        for one in range(len(user)):
            score += user[one] * vectors[choice[place], one]
        if place < last and choice[place] == choice[last]:
            score = np.float32(-np.inf)
        shares[place] = score
        highest = max(highest, score)
    total = np.float32(0.0)
    for place in range(len(choice)):
        shares[place] = np.exp(shares[place] - highest)
        total += shares[place]
    for place in range(len(choice)):
        shares[place] /= total


@compiled(
    ["void(f4[:, ::1], b1[::1], i4[:, ::1], i4[:, ::1], i4[::1], f4[::1], f4[::1], f4, f4)"],
    fastmath={"reassoc", "contract"},
)
def learn(
    vectors: Vectors,
    is_own: NDArray[np.bool_],
    choices: Numbers,
    contexts: Numbers,
    lengths: Numbers,
    weights: NDArray[np.float32],
    discounts: NDArray[np.float32],
    learning_rate: float,
    regularization: float,
) -> None:
    """Take a step of stochastic gradient descent on sampled softmax for each example, in place.

    Args:
        vectors: (items, d + 1) embeddings, each followed by its bias.
        is_own: (items,) whether the embedding of an item may be changed.
        choices: (n, k + 1) sampled items, then the item of the example.
        contexts: (n, m) the items before it, newest first.
        lengths: (n,) number of those.
        weights: (n,) weight of each example, from 0 to 1.
        discounts: (m,) weight of a context item by its place.
        learning_rate: Length of a step.
        regularization: Decay of the changed embeddings, relative to a step.
    """
    size, last = vectors.shape[1], choices.shape[1] - 1
    user, slope = np.zeros(size, np.float32), np.zeros(size, np.float32)
    shares = np.zeros(last + 1, np.float32)
    for example in range(len(choices)):
        context, choice = contexts[example, : lengths[example]], choices[example]
        scale = _add_context(user, vectors, context, discounts)
        _fill_shares(shares, user, vectors, choice)
        slope[:] = 0.0
        for place in range(len(choice)):
            item, error = choice[place], -weights[example] * shares[place]
            if place == last:
                error += weights[example]
            step, decay = learning_rate * error, np.float32(1.0) - learning_rate * regularization * abs(error)
            for one in range(size - 1):
                slope[one] += error * vectors[item, one]
            if is_own[item]:
                for one in range(size):
                    vectors[item, one] = decay * vectors[item, one] + step * user[one]
        for place in range(len(context)):
            item, step = context[place], learning_rate * discounts[place] * scale
            if is_own[item]:
                decay = np.float32(1.0) - step * regularization
                for one in range(size - 1):
                    vectors[item, one] = decay * vectors[item, one] + step * slope[one]
