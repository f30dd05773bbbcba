"""State of learned parts: the attributes that a part goes on from, as arrays and plain values.

Numbers, texts, lists and dictionaries are plain values. A part states what belongs to its state in `STATE`; caches do
not belong to it. A test compares all attributes of a learner with those of a restored one, so that none is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

State = dict[str, Any]


class Stateful:
    """A part whose state is some of its attributes: arrays, plain values, or parts themselves.

    >>> class Tally(Stateful):
    ...     STATE = ("counts", "names")
    ...     def __init__(self) -> None:
    ...         self.counts, self.names = {}, frozenset()
    >>> tally, restored = Tally(), Tally()
    >>> tally.counts["jazz"], tally.names = 3, frozenset({"jazz"})
    >>> restored.restore({"counts": {"jazz": 3}, "names": ["jazz"]})
    >>> restored.state() == tally.state()
    True
    """

    STATE: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes."""

    def state(self) -> State:
        """Return the state; it shares arrays and collections with the part."""
        values = {name: getattr(self, name) for name in self.STATE}
        return {name: value.state() if isinstance(value, Stateful) else value for name, value in values.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state, which the part owns from then on; collections keep their type.

        Args:
            state: The state of a part of this class.

        Raises:
            KeyError: an attribute is missing.
        """
        for name in self.STATE:
            value, current = state[name], getattr(self, name)
            if isinstance(current, Stateful):
                current.restore(value)
            elif current is None or value is None or isinstance(value, np.ndarray):
                setattr(self, name, value)
            else:
                setattr(self, name, type(current)(value))
