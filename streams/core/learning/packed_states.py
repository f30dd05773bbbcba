"""Packed states: the states of many keys in bounded memory.

The states used last are objects, the others MessagePack, which takes a fraction of the memory. Beyond a number of keys,
the state that has not been used for longest is dropped.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from itertools import accumulate, pairwise
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np

from domain.state import State, Stateful

S = TypeVar("S", bound=msgspec.Struct)

OBJECTS = 4_096
"""Number of states that are objects."""


class PackedStates(Stateful, Generic[S]):
    """States by key, in the order of their last use.

    >>> from streams.core.item.item_stats import ItemState
    >>> items = PackedStates(ItemState, objects=1, most=2)
    >>> for item_id in ("jazz", "folk", "rock"):
    ...     items.setdefault(item_id, ItemState(item_id)).rating_sum += 1.0
    >>> items.get("jazz"), items.setdefault("folk", ItemState("folk")).rating_sum, len(items)
    (None, 1.0, 2)
    """

    def __init__(
        self,
        kind: type[S],
        *,
        objects: int = OBJECTS,
        most: int | None = None,
        on_drop: Callable[[str], None] = lambda key: None,
    ) -> None:
        """Start empty.

        Args:
            kind: The type of a state.
            objects: Number of states that are objects.
            most: Number of states; any by default.
            on_drop: Called with each key whose state is dropped.
        """
        self._encode, self._decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(kind).decode
        self._most_objects, self._most, self._on_drop = objects, most, on_drop
        self._objects: OrderedDict[str, S] = OrderedDict()
        self._data: OrderedDict[str, bytes] = OrderedDict()
        """States that were used before all of `_objects`."""

    def __len__(self) -> int:
        return len(self._objects) + len(self._data)

    def __contains__(self, key: str) -> bool:
        return key in self._objects or key in self._data

    def get(self, key: str) -> S | None:
        """Return the state of a key, or None; changes of it last if they are made before other keys are used."""
        state = self._objects.get(key)
        if state is not None:
            self._objects.move_to_end(key)
            return state
        data = self._data.pop(key, None)
        return None if data is None else self._put(key, self._decode(data))

    def setdefault(self, key: str, new: S) -> S:
        """Return the state of a key, which is `new` for a new key.

        Args:
            key: The key.
            new: The state of a new key.
        """
        state = self.get(key)
        return self._put(key, new) if state is None else state

    def delete(self, key: str) -> None:
        """Delete the state of a key, if there is one."""
        self._objects.pop(key, None)
        self._data.pop(key, None)

    def state(self) -> State:
        """Return the keys, the least recently used first, and their states as one array of bytes."""
        encoded_states = [*self._data.values(), *map(self._encode, self._objects.values())]
        return {
            "keys": [*self._data, *self._objects],
            "lengths": np.fromiter(map(len, encoded_states), np.int32, len(encoded_states)),
            "states": np.frombuffer(b"".join(encoded_states), np.uint8),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state; of more keys than fit, those used last are kept."""
        states, ends = memoryview(state["states"]), accumulate(state["lengths"].tolist(), initial=0)
        self._objects.clear()
        self._data = OrderedDict(
            (key, bytes(states[start:end])) for key, (start, end) in zip(state["keys"], pairwise(ends), strict=True)
        )
        self._shrink()

    def _put(self, key: str, state: S) -> S:
        self._objects[key] = state
        if len(self._objects) > self._most_objects:
            oldest, oldest_state = self._objects.popitem(last=False)
            self._data[oldest] = self._encode(oldest_state)
        self._shrink()
        return state

    def _shrink(self) -> None:
        while self._most is not None and len(self) > self._most:
            key, _ = (self._data or self._objects).popitem(last=False)
            self._on_drop(key)
