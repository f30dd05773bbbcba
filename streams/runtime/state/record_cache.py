"""Record cache: states in memory, written to their table once per checkpoint, as in Kafka Streams."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from infra.kafka.publisher import Publisher
from streams.transport import purge, put, stored_values

S = TypeVar("S", bound=msgspec.Struct)
Changes = list[tuple[bytes, bytes | None]]
"""Keys and encoded states of a table, None for a deletion."""

_FORMAT = b"\x01"
"""First byte of a stored state: the version of its layout."""


_STATE_BYTES = 512
"""Overhead of a state in memory, in bytes, besides its stored size."""
_LOG = logging.getLogger(__name__)
_MAX_BYTES = 32 << 20
"""Stored size of the states per partition that stay in memory, in bytes; their objects take a multiple of it."""


class RecordCache(Generic[S]):
    """The states of the partitions that this worker owns.

    Args:
        table: The Faust table of the states.
        kind: The type of a state.
        publisher: Writes the changelog.
        new: Creates the state of a key.
        most_bytes: Limit of the states per partition, in bytes of their stored size.
    """

    def __init__(
        self,
        table: Any,
        kind: type[S],
        publisher: Publisher,
        *,
        new: Callable[[str], S],
        most_bytes: int = _MAX_BYTES,
    ) -> None:
        self._table, self._kind, self._publisher = table, kind, publisher
        self._new = new
        self._most_bytes = most_bytes
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._states: dict[int, dict[str, S]] = {}
        self._sizes: dict[int, dict[str, int]] = {}
        """Sizes of the states in bytes, by partition and key, as last loaded or written."""
        self._totals: Counter[int] = Counter()
        self._dirty: dict[int, dict[str, None]] = {}
        self._deleted_keys: dict[int, set[str]] = {}
        """Keys whose states were deleted and not changed since, by partition."""

    def get(self, partition: int, key: str) -> S:
        """Return the state of a key, or a new state; call it while an event of the partition is current."""
        states = self._states.setdefault(partition, {})
        state = states.get(key)
        if state is None:
            stored_bytes = self._table.get(key.encode())
            states[key] = state = self._new(key) if stored_bytes is None else self._decode(stored_bytes)
            self._update_size(partition, key, len(stored_bytes or b""))
        return state

    def peek(self, partition: int, key: str) -> S | None:
        """Return the state of a key, read-only, or None; the condition of `get` applies."""
        state = self._states.get(partition, {}).get(key)
        if state is not None:
            return state
        stored_bytes = self._table.get(key.encode())
        return None if stored_bytes is None else self._decode(stored_bytes)

    def touch(self, partition: int, key: str) -> None:
        """Mark a state as changed."""
        self._dirty.setdefault(partition, {})[key] = None
        self._deleted_keys.get(partition, set()).discard(key)

    def delete(self, partition: int, key: str) -> None:
        """Delete the state of a key at the next checkpoint; until then, and later, it is a new state."""
        self._states.setdefault(partition, {})[key] = self._new(key)
        self._update_size(partition, key, 0)
        self._dirty.setdefault(partition, {})[key] = None
        self._deleted_keys.setdefault(partition, set()).add(key)

    def delete_older(self, partition: int, key: str, append_ms: int) -> int:
        """Delete the state of a key unless its first record came after a time; return how many states were deleted.

        Args:
            partition: The partition of the key.
            key: The key.
            append_ms: Append time in ms since the epoch. The states must have a field `since`.
        """
        state: Any = self.peek(partition, key)
        if state is None or state.since > append_ms:
            return 0
        self.delete(partition, key)
        return 1

    def changes(self, partitions: Iterable[int]) -> dict[int, Changes]:
        """Return the encoded changes of some partitions and clear them; later changes belong to the next call."""
        return {partition: self._changes(partition) for partition in partitions}

    async def write(self, changes: Mapping[int, Changes], events: Mapping[int, Any]) -> None:
        """Write the changes of partitions to the changelog, then to the table.

        After a crash between the two, the table is restored from the changelog, here or elsewhere. Our publisher writes
        the changelog in batches; Faust's producer would write key by key.

        Args:
            changes: The changes by partition.
            events: A pending event of each partition.

        Raises:
            PublishError: the changelog was not written.
        """
        ends = await self._publisher.publish_at(self._table.changelog_topic_name, changes)
        for partition, event in events.items():
            if event.app.is_live(event):  # otherwise another worker owns the partition by now
                put(self._table, event, changes[partition], end=ends.get(partition))
                self._evict(partition)
                if keys := [key for key, value in changes[partition] if value is None]:
                    await purge(self._table, partition, keys)

    def _changes(self, partition: int) -> Changes:
        changes: Changes = []
        states = self._states.get(partition, {})
        deleted_keys = self._deleted_keys.pop(partition, set())
        for key in self._dirty.pop(partition, ()):
            if key in deleted_keys:
                changes.append((key.encode(), None))
                continue
            try:
                data = _FORMAT + self._encoder.encode(states[key])
            except Exception as error:
                self._publisher.reject(self._table.changelog_topic_name, key.encode(), error)
            else:
                self._update_size(partition, key, len(data))
                changes.append((key.encode(), data))
        return changes

    def stored(self, *fields: str) -> Iterator[S]:
        """Yield all states of the table with some fields only, since decoding the others would cost the most time.

        Unreadable states are skipped.
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
        """Clear the cache: other workers may own the partitions now."""
        for mapping in (self._states, self._sizes, self._totals, self._dirty, self._deleted_keys):
            mapping.clear()

    def _decode(self, stored_bytes: bytes) -> S:
        return self._decoder.decode(stored_bytes[len(_FORMAT) :])

    def _update_size(self, partition: int, key: str, size: int) -> None:
        size += _STATE_BYTES + len(key)
        sizes = self._sizes.setdefault(partition, {})
        self._totals[partition] += size - sizes.get(key, 0)
        sizes[key] = size

    def _evict(self, partition: int) -> None:
        """Evict the states that were loaded first, except those with unwritten changes."""
        excess = self._totals[partition] - self._most_bytes
        if excess <= 0:
            return
        states, sizes, dirty = self._states[partition], self._sizes[partition], self._dirty.get(partition, {})
        oldest = []
        for key in states:
            if excess <= 0:
                break
            if key not in dirty:
                oldest.append(key)
                excess -= sizes[key]
        for key in oldest:
            del states[key]
            self._totals[partition] -= sizes.pop(key)


def _partial_type(kind: type[msgspec.Struct], names: tuple[str, ...]) -> Any:
    """Return a type that decodes some fields of a state and skips the others."""
    if unknown := {*names} - {*kind.__struct_fields__}:
        raise ValueError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
    fields = []
    for field in msgspec.structs.fields(kind):
        default: Any = {"default": field.default, "default_factory": field.default_factory}
        fields.append((field.name, field.type if field.name in names else msgspec.Raw, msgspec.field(**default)))
    return msgspec.defstruct(f"{kind.__name__}Part", fields, array_like=True)
