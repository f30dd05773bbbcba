"""Server-sent events, read as browsers read them (HTML, section 9.2.6: interpreting an event stream)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import NamedTuple

_LINE_END = re.compile("\r\n|\n|\r")
"""Nothing else ends a line: U+2028, U+0085 and the like are text, and may stand in the texts of items."""


class ServerEvent(NamedTuple):
    """One event of a stream."""

    id: str
    """Of this event, or the last one before it that had any."""
    name: str
    data: str


class EventParser:
    """Makes events of the bytes of one stream, wherever these are cut. An event that is cut off is none."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._line = ""
        """What has come of a line that has not ended."""
        self._ends_with_cr = False
        self._id, self._name, self._data = "", "", list[str]()

    def feed(self, data: bytes) -> Iterator[ServerEvent]:
        """Yield the events that end in the next bytes."""
        text = self._decoder.decode(data)
        if not text:
            return
        if self._ends_with_cr:
            text = text.removeprefix("\n")  # of a CR LF that was cut in two
        self._ends_with_cr = text.endswith("\r")
        first, *others = _LINE_END.split(text)
        lines = [self._line + first, *others]
        self._line = lines.pop()
        for line in lines:
            event = self._end(line)
            if event is not None:
                yield event

    def _end(self, line: str) -> ServerEvent | None:
        """Take a line, and return the event that it ends."""
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
