"""Snapshots of learned state as named arrays: MessagePack for plain values, with references to the arrays in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from domain.state import State

Arrays = dict[str, NDArray[Any]]

_VALUES = "values"
_ARRAY = 1
"""Code of a reference to an array in MessagePack."""


def pack(state: State) -> Arrays:
    """Return a state as arrays that later changes of the state do not affect.

    Args:
        state: Arrays and plain values in nested dictionaries.

    >>> packed = pack({"sums": {"jazz": np.ones(2)}, "names": ["jazz"], "counts": {7: None}})
    >>> unpack(packed)
    {'sums': {'jazz': array([1., 1.])}, 'names': ['jazz'], 'counts': {7: None}}
    """
    arrays: Arrays = {}

    def reference(value: Any) -> msgspec.msgpack.Ext:
        if not isinstance(value, np.ndarray):
            raise NotImplementedError(f"{type(value).__name__} is no plain value")
        name = str(len(arrays))
        arrays[name] = value.copy() if value.flags.writeable else value  # nobody writes to the others
        return msgspec.msgpack.Ext(_ARRAY, name.encode())

    values = msgspec.msgpack.encode(state, enc_hook=reference)
    return {**arrays, _VALUES: np.frombuffer(values, np.uint8)}


def unpack(arrays: Mapping[str, NDArray[Any]]) -> State:
    """Return the state of packed arrays, whose arrays are then its own.

    Raises:
        KeyError: an array is missing.
        msgspec.DecodeError: the plain values cannot be read.
    """

    def array(code: int, name: memoryview) -> NDArray[Any]:
        return np.require(arrays[bytes(name).decode()], requirements=["C", "W"])

    state: State = msgspec.msgpack.decode(arrays[_VALUES].data, ext_hook=array)
    return state
