"""States in memory, written to their table once per checkpoint: the record cache of Kafka Streams."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from infra.kafka.publisher import Publisher
from streams.transport import put, stored_values

S = TypeVar("S", bound=msgspec.Struct)
Changes = list[tuple[bytes, bytes]]
"""Keys and states as a table holds them."""

_FORMAT = b"\x01"
"""First byte of a stored state, so that another layout can follow."""


_STATE_BYTES = 512
"""Bytes that a state takes besides what is stored of it."""
_LOG = logging.getLogger(__name__)
_MOST_BYTES = 32 << 20
"""Bytes of the states of one partition, as they are stored, that stay in memory: in memory they take a multiple."""


class RecordCache(Generic[S]):
    """The states of the partitions this worker owns."""

    def __init__(
        self,
        table: Any,
        kind: type[S],
        publisher: Publisher,
        *,
        new: Callable[[str], S],
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        self._table, self._kind, self._publisher = table, kind, publisher
        self._new = new
        self._most_bytes = most_bytes
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._states: dict[int, dict[str, S]] = {}
        self._sizes: dict[int, dict[str, int]] = {}
        """Bytes of the states that were written or loaded, as they were then."""
        self._totals: Counter[int] = Counter()
        self._dirty: dict[int, dict[str, None]] = {}

    def get(self, partition: int, key: str) -> S:
        """Return the state of a key, a new one if there is none. Call it while an event of the partition is current."""
        states = self._states.setdefault(partition, {})
        state = states.get(key)
        if state is None:
            stored = self._table.get(key.encode())
            states[key] = state = self._new(key) if stored is None else self._decode(stored)
            self._weigh(partition, key, len(stored or b""))
        return state

    def peek(self, partition: int, key: str) -> S | None:
        """Return the state of a key, if there is one, for reading only; call it as `get`."""
        state = self._states.get(partition, {}).get(key)
        if state is not None:
            return state
        stored = self._table.get(key.encode())
        return None if stored is None else self._decode(stored)

    def touch(self, partition: int, key: str) -> None:
        """Say that a state has changed."""
        self._dirty.setdefault(partition, {})[key] = None

    def changes(self, partitions: Iterable[int]) -> dict[int, Changes]:
        """Return what has changed in some partitions, as it is to be written; what changes from now on is not in it."""
        return {partition: self._changes(partition) for partition in partitions}

    async def write(self, changes: Mapping[int, Changes], events: Mapping[int, Any]) -> None:
        """Write the changes of partitions, of each of which an event is pending.

        The changelog comes first: what a crash leaves between the two is there when the table is restored, here or
        elsewhere. It is not Faust's producer that writes it, which takes a key at a time.

        Raises:
            PublishError: the changelog did not take it.
        """
        ends = await self._publisher.publish_at(self._table.changelog_topic_name, changes)
        for partition, event in events.items():
            if event.app.is_live(event):  # otherwise another worker has the partition by now
                put(self._table, event, changes[partition], end=ends.get(partition))
                self._shed(partition)

    def _changes(self, partition: int) -> Changes:
        states, changes = self._states.get(partition, {}), []
        for key in self._dirty.pop(partition, ()):
            try:
                data = _FORMAT + self._encoder.encode(states[key])
            except Exception as error:
                self._publisher.reject(self._table.changelog_topic_name, key.encode(), error)
            else:
                self._weigh(partition, key, len(data))
                changes.append((key.encode(), data))
        return changes

    def stored(self, *fields: str) -> Iterator[S]:
        """Yield the states that the table holds, with these fields only: the others cost more than all the rest.

        A state that cannot be read is passed over.
        """
        decoder = msgspec.msgpack.Decoder(_partial_type(self._kind, fields))
        for value in stored_values(self._table):
            try:
                state = decoder.decode(value[len(_FORMAT) :])
            except msgspec.MsgspecError as error:
                _LOG.warning("a state of %s cannot be read: %s", self._table.changelog_topic_name, error)
            else:
                yield state

    def drop(self) -> None:
        """Forget everything: partitions may belong to other workers now."""
        for mapping in (self._states, self._sizes, self._totals, self._dirty):
            mapping.clear()

    def _decode(self, stored: bytes) -> S:
        return self._decoder.decode(stored[len(_FORMAT) :])

    def _weigh(self, partition: int, key: str, size: int) -> None:
        size += _STATE_BYTES + len(key)
        sizes = self._sizes.setdefault(partition, {})
        self._totals[partition] += size - sizes.get(key, 0)
        sizes[key] = size

    def _shed(self, partition: int) -> None:
        """Let the states that were loaded first give way, but none that has changed since it was written."""
        excess = self._totals[partition] - self._most_bytes
        if excess <= 0:
            return
        states, sizes, dirty = self._states[partition], self._sizes[partition], self._dirty.get(partition, {})
        shed = []
        for key in states:
            if excess <= 0:
                break
            if key not in dirty:
                shed.append(key)
                excess -= sizes[key]
        for key in shed:
            del states[key]
            self._totals[partition] -= sizes.pop(key)


def _partial_type(kind: type[msgspec.Struct], names: tuple[str, ...]) -> Any:
    """Return a type that reads some fields of another's layout and skips the rest."""
    fields = []
    for field in msgspec.structs.fields(kind):
        default: Any = {"default": field.default, "default_factory": field.default_factory}
        fields.append((field.name, field.type if field.name in names else msgspec.Raw, msgspec.field(**default)))
    return msgspec.defstruct(f"{kind.__name__}Part", fields, array_like=True)
