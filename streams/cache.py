"""States in memory, written to their table once per checkpoint: the record cache of Kafka Streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import msgspec

from streams.transport import as_current, stored_values

S = TypeVar("S", bound=msgspec.Struct)

_FORMAT = b"\x01"
"""First byte of a stored state, so that another layout can follow."""


class RecordCache(Generic[S]):
    """The states of the partitions this worker owns."""

    def __init__(self, table: Any, kind: type[S], *, new: Callable[[str], S], most: int = 100_000) -> None:
        self._table, self._kind = table, kind
        self._new = new
        self._most = most
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._states: dict[int, dict[str, S]] = {}
        self._dirty: dict[int, dict[str, None]] = {}

    def get(self, partition: int, key: str) -> S:
        """Return the state of a key, a new one if there is none. Call it while an event of the partition is current."""
        states = self._states.setdefault(partition, {})
        state = states.get(key)
        if state is None:
            states[key] = state = self.peek(partition, key) or self._new(key)
        return state

    def peek(self, partition: int, key: str) -> S | None:
        """Return the state of a key, if there is one, for reading only; call it as `get`."""
        state = self._states.get(partition, {}).get(key)
        if state is not None:
            return state
        stored = self._table.get(key.encode())
        return None if stored is None else self._decoder.decode(stored[len(_FORMAT) :])

    def touch(self, partition: int, key: str) -> None:
        """Say that a state has changed."""
        self._dirty.setdefault(partition, {})[key] = None

    def write(self, partition: int, event: Any) -> None:
        """Write the changed states of a partition to the table, while `event` of that partition is pending."""
        states = self._states.get(partition, {})
        with as_current(event):
            for key in self._dirty.pop(partition, ()):
                self._table[key.encode()] = _FORMAT + self._encoder.encode(states[key])
        self._shed(states)

    def stored(self, *fields: str) -> Iterator[S]:
        """Yield the states that the table holds, with these fields only: the others cost more than all the rest."""
        decoder = msgspec.msgpack.Decoder(_part(self._kind, fields))
        for value in stored_values(self._table):
            yield decoder.decode(value[len(_FORMAT) :])

    def drop(self) -> None:
        """Forget everything: partitions may belong to other workers now."""
        self._states.clear()
        self._dirty.clear()

    def _shed(self, states: dict[str, S]) -> None:
        """Let the states that were loaded first give way; all are clean after a write."""
        for key in [key for key, _ in zip(states, range(len(states) - self._most), strict=False)]:
            del states[key]


def _part(kind: type[msgspec.Struct], wanted: tuple[str, ...]) -> Any:
    """Return a type that reads some fields of another's layout and skips the rest."""
    fields = []
    for field in msgspec.structs.fields(kind):
        default: Any = {"default": field.default, "default_factory": field.default_factory}
        fields.append((field.name, field.type if field.name in wanted else msgspec.Raw, msgspec.field(**default)))
    return msgspec.defstruct(f"{kind.__name__}Part", fields, array_like=True)
