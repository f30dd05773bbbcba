"""Header of features records: the positions of the events that were folded since the user's features before.

It links an event to the features that reflect it, without a field in the schema: readers may ignore it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

FOLDED_HEADER = "millrace-folded"
MOST_POSITIONS = 100
"""Positions in a header; of more events, which a backlog folds together, it names the last ones."""

Relation = Literal["includes", "follows", "other"]


class EventPosition(NamedTuple):
    """The position of an event in any topic, written as `TOPIC-PARTITION-OFFSET` like the id of a dead letter."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> EventPosition:
        """Return the position that a text names.

        Raises:
            ValueError: the text is no position.
        """
        topic, partition, offset = text.rsplit("-", 2)
        return cls(topic, int(partition), int(offset))


def folded_header(positions: Iterable[EventPosition]) -> dict[str, bytes]:
    """Return the header for at most `MOST_POSITIONS` events, the last one folded last."""
    return {FOLDED_HEADER: " ".join(map(str, positions)).encode()}


def folded_positions(headers: Iterable[tuple[str, bytes | None]]) -> list[EventPosition]:
    """Return the positions that the headers of a record name; none without the header.

    >>> folded_positions([("millrace-folded", b"interactions.v1-3-17 triggers.v1-3-4")])[1].offset
    4
    """
    return [
        EventPosition.parse(text)
        for name, value in headers
        if name == FOLDED_HEADER
        for text in (value or b"").decode().split()
    ]


def relation(positions: Sequence[EventPosition], event: EventPosition) -> Relation:
    """Return how features stand to an event: they include it, follow it, or say nothing of it.

    Features follow an event that they do not name when they name a later one of its partition: then the event changed
    nothing. Where the header is full, the event may have been among those that it does not name, and counts as
    included.

    >>> relation([EventPosition("a.v1", 0, 7), EventPosition("a.v1", 0, 9)], EventPosition("a.v1", 0, 8))
    'follows'
    """
    if event in positions:
        return "includes"
    later = any(one[:2] == event[:2] and one.offset > event.offset for one in positions)
    if not later:
        return "other"
    earlier = any(one[:2] == event[:2] and one.offset < event.offset for one in positions)
    return "includes" if len(positions) >= MOST_POSITIONS and not earlier else "follows"
