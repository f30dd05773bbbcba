"""User encoder of the sequence network: a causal transformer over the last items.

A user is the state after the newest item. So the last block computes that state alone; those before it compute all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from models.encoders.user_encoder import Arrays, Indices, UserEncoder, Vector, Vectors, is_liked

_EPSILON = np.float32(1e-5)
_ROOT_HALF = np.float32(np.sqrt(0.5))


class SequenceEncoder(UserEncoder):
    """The transformer of `models.neural.sequence`."""

    def __init__(self, parameters: Arrays) -> None:
        """Take over parameters by their names in the network.

        Args:
            parameters: The parameters; `length` is the number of last items.
        """
        self._like = parameters["liked.weight"]
        self.dim = self._like.shape[1]
        self._scale = np.float32(self.dim**0.5)
        self._length = int(parameters["length"].item())
        self._norm = _Norm(parameters, "norm")
        numbers = {name.split(".")[1] for name in parameters if name.startswith("blocks.")}
        self._blocks = [_Block(parameters, f"blocks.{n}", self._length) for n in sorted(numbers, key=int)]

    def user(self, items: Indices, contexts: Vectors, weights: Vector) -> Vector:
        """Return the state after the newest item.

        Args:
            items: Not used.
            contexts: (m, dim) vectors of the last items, newest first.
            weights: (m,) signed weights of their events.
        """
        x = (contexts[: self._length] * self._scale + self._like[is_liked(weights[: self._length])])[::-1]
        for block in self._blocks[:-1]:
            x = block.states(x, len(x))
        if self._blocks:
            x = self._blocks[-1].states(x, 1)
        state: Vector = self._norm(x[-1:])[0]
        return state


class _Norm:
    """Layer normalization."""

    def __init__(self, parameters: Arrays, name: str) -> None:
        self._weight, self._bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]

    def __call__(self, x: Vectors) -> Vectors:
        deviation = x - x.mean(axis=1, keepdims=True)
        variance = np.einsum("ij,ij->i", deviation, deviation)[:, None] / np.float32(x.shape[1])
        normal: Vectors = deviation / np.sqrt(variance + _EPSILON) * self._weight + self._bias
        return normal


class _Linear:
    """A linear layer."""

    def __init__(self, parameters: Arrays, name: str) -> None:
        self._weight = np.ascontiguousarray(parameters[f"{name}.weight"].T)
        self._bias = parameters[f"{name}.bias"]

    def __call__(self, x: Vectors) -> Vectors:
        product: Vectors = x @ self._weight + self._bias
        return product


class _Block:
    """A block of causal attention and a feed-forward layer."""

    def __init__(self, parameters: Arrays, name: str, length: int) -> None:
        self._norm, self._norm_after = _Norm(parameters, f"{name}.norm"), _Norm(parameters, f"{name}.norm_after")
        self._qkv, self._out = _Linear(parameters, f"{name}.qkv"), _Linear(parameters, f"{name}.out")
        self._forth, self._back = _Linear(parameters, f"{name}.forth"), _Linear(parameters, f"{name}.back")
        fall = np.log1p(np.exp(parameters[f"{name}.fall"]))[:, None, None]
        steps_back = np.arange(length)[:, None] - np.arange(length)
        self._bias = np.where(steps_back < 0, -np.inf, -fall * steps_back).astype(np.float32)  # (H, L, L)

    def states(self, x: Vectors, last: int) -> Vectors:
        """Return the (last, D) states of the last items, oldest first.

        Args:
            x: (L, D) states of the layer before.
            last: Number of states to return.
        """
        length, dim = x.shape
        heads = len(self._bias)
        qkv = self._qkv(self._norm(x)).reshape(length, 3, heads, dim // heads)
        q = qkv[-last:, 0].transpose(1, 0, 2)  # (H, last, D/H)
        k, v = qkv[:, 1].transpose(1, 2, 0), qkv[:, 2].transpose(1, 0, 2)
        attention = _softmax(q @ k / np.float32((dim // heads) ** 0.5) + self._bias[:, length - last : length, :length])
        x = x[-last:] + self._out((attention @ v).transpose(1, 0, 2).reshape(last, dim))
        layer = self._forth(self._norm_after(x))
        gelu = layer * (np.float32(0.5) + np.float32(0.5) * erf(layer * _ROOT_HALF))
        return x + self._back(gelu)


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax along the last axis."""
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: NDArray[np.float32] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return shares
