"""A parser of server-sent events, according to the HTML standard (section 9.2.6: interpreting an event stream)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import NamedTuple

_LINE_END = re.compile("\r\n|\n|\r")
"""The only line ends: U+2028, U+0085 and the like are text, and may occur in item texts."""


class ServerEvent(NamedTuple):
    """One event of an event stream."""

    id: str
    """The id of this event, or of the last earlier event that had one."""
    name: str
    data: str


class EventParser:
    """Parses the bytes of one stream, in chunks of any size. An incomplete last event is discarded.

    >>> [event.data for event in EventParser().feed(b'data: one\\n\\ndata: two\\n\\ndata: thr')]
    ['one', 'two']
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._line = ""
        """The beginning of an incomplete line."""
        self._ends_with_cr = False
        self._id, self._name, self._data = "", "", list[str]()

    def feed(self, data: bytes) -> Iterator[ServerEvent]:
        """Parse the next bytes and yield the events completed by them."""
        text = self._decoder.decode(data)
        if not text:
            return
        if self._ends_with_cr:
            text = text.removeprefix("\n")  # the second half of a split CR LF
        self._ends_with_cr = text.endswith("\r")
        first, *others = _LINE_END.split(text)
        lines = [self._line + first, *others]
        self._line = lines.pop()
        for line in lines:
            event = self._end(line)
            if event is not None:
                yield event

    def _end(self, line: str) -> ServerEvent | None:
        """Process a line, and return the event that it completes."""
        if not line:
            event = ServerEvent(self._id, self._name or "message", "\n".join(self._data)) if self._data else None
            self._name, self._data = "", []
            return event
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        elif field == "id" and "\0" not in value:
            self._id = value
        return None
