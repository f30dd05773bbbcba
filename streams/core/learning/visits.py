"""Visits: what the fold of users tells about returns, as records, for the one process that counts them by category."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from schemas.types import Visits
from streams.core.learning.repeats import RepeatRates
from streams.core.position import Position, new_records

VISITS = 1_000
"""Largest number of visits in a record."""

Positions = dict[int, tuple[int, int]]
"""The (offset, append time) of the newest interaction counted, by its partition."""


class Visit(NamedTuple):
    """A visit to an item."""

    position: Position
    """The position of the interaction."""
    category: str
    """The category of the item; empty for none."""
    is_return: bool
    """Whether the user returns to the item."""


def to_records(visits: Sequence[Visit]) -> Iterator[Visits]:
    """Yield visits of one partition, in its order, as records.

    >>> [record.returns for record in to_records([Visit(Position(0, 7, 1), "places", True)])]
    [[True]]
    """
    for start in range(0, len(visits), VISITS):
        some = visits[start : start + VISITS]
        partition = some[0].position.partition
        yield Visits(
            source=str(partition),
            source_partition=partition,
            source_offsets=[visit.position.offset for visit in some],
            source_timestamps=[visit.position.append_ms for visit in some],
            categories=[visit.category for visit in some],
            returns=[visit.is_return for visit in some],
        )


def count(rates: RepeatRates, positions: Positions, visits: Visits) -> None:
    """Count the visits of a record that are no repeats.

    Args:
        rates: The rates.
        positions: The newest positions counted, which move on.
        visits: The record.
    """
    source = visits.source_partition
    indices, position = new_records(positions.get(source), visits.source_offsets, visits.source_timestamps)
    for index in indices:
        rates.add(visits.categories[index], is_return=visits.returns[index])
    if position is not None:
        positions[source] = position
