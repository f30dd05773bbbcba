"""Parser of delimited text: it detects encoding, separator and quotes, and an unclosed quote loses no line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loaders.tables import encoding
from loaders.tables.cell import quoted

SEPARATORS = ("\t", "::", ",", ";", "|")
SEPARATOR_NAMES = {"\t": "tabs", "::": "double colons", ",": "commas", ";": "semicolons", "|": "bars"}
_UNQUOTED = ("\t", "::")
"""Separators of files with ordinary double quotes, unless all column names are quoted."""
_DECLARATION = re.compile(r"\"?sep=(?P<separator>[^\n\"])\"?\n", re.IGNORECASE)
_LONGEST = 1 << 20
"""Longest record in characters: a quote still open after that counts as unclosed."""
_FAILED_FIELDS_MAX = 1_000_000
"""Bound on wasted fields of records with unclosed quotes, in addition to one per character of the file. Beyond it,
quoted fields end in their line: otherwise each line would be parsed again for each of the lines before it."""
_HEADER_BYTES = 64 << 10


class RowError(ValueError):
    """A line that is not a valid row."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row with its first line in the file, from 1, and its fields, or the line itself and the problem."""

    line: int
    fields: list[str]
    problem: str = ""

    def misfit(self, width: int) -> str:
        """Return the problem of a row with another number of fields; empty when it fits, or ends with empty fields."""
        if self.problem or len(self.fields) == width or (len(self.fields) > width and not any(self.fields[width:])):
            return self.problem
        return f"{len(self.fields)} fields instead of {width}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A file of delimited text, read as a whole."""

    content: str
    encoding: str
    separator: str
    first_line: int = 1
    """Line of the file at which the content begins."""
    is_quoted: bool = True
    """Whether double quotes enclose fields, which is rare in files separated by tabs."""

    @property
    def description(self) -> str:
        """Return a description of encoding and separator."""
        return f"{self.encoding}, separated by {SEPARATOR_NAMES.get(self.separator, self.separator)}"

    def rows(self, width: int | None = None) -> Iterator[Row]:
        """Yield the non-blank rows, in the order of the file.

        A quoted field may span several lines. A quote that does not close, or closes only after lines that are rows of
        their own, invalidates these lines: each is yielded with its problem, and parsing continues after them.

        Args:
            width: Number of fields of a row; None when unknown.
        """
        reader = _Reader(self, width)
        while not reader.at_end:
            yield from (row for row in reader.next() if row.problem or any(map(str.strip, row.fields)))


def read(
    path: Path, choose: Callable[[Sequence[str]], int], *, name: str | None = None, separator: str | None = None
) -> Text:
    """Return a file with its encoding and separator.

    Args:
        path: The file.
        choose: Returns the fit of the fields of the first line; the separator with the best fit is used.
        name: The encoding; detected by default.
        separator: The separator; detected by default.

    Raises:
        EncodingError: the encoding is not recognised.
        OSError: the file is unreadable.
    """
    return parse(path.read_bytes(), choose, name=name, separator=separator)


def read_header(path: Path, choose: Callable[[Sequence[str]], int], *, separator: str | None = None) -> list[str]:
    """Return the fields of the first line of a file; only its beginning is read.

    An unrecognised encoding is no error here, since it does not affect column names; `read` reports it.
    """
    with path.open("rb") as file:
        data = file.read(_HEADER_BYTES)
    try:
        text = parse(data, choose, separator=separator, whole=len(data) < _HEADER_BYTES)
    except encoding.EncodingError:
        text = parse(data, choose, separator=separator, name="latin-1")
    return first_row(text).fields


def parse(
    data: bytes,
    choose: Callable[[Sequence[str]], int],
    *,
    name: str | None = None,
    separator: str | None = None,
    whole: bool = True,
) -> Text:
    """Return the text of bytes, as `read` does; `whole` is false for the beginning of a file."""
    everything, codec = encoding.decode(data, name, whole=whole)
    everything = unix_lines(everything)
    declaration = _DECLARATION.match(everything)
    if declaration is not None:
        separator = separator or declaration["separator"]
    content = everything[declaration.end() if declaration else 0 :].lstrip("\n")
    first_line = 1 + everything.count("\n", 0, len(everything) - len(content))
    if separator is None:
        separator = max(SEPARATORS, key=lambda mark: (choose(_first(content, codec, mark)), mark == ","))
    header = content.partition("\n")[0].split(separator)
    is_quoted = separator not in _UNQUOTED or all(re.fullmatch(r'"[^"]*"', field.strip()) for field in header)
    return Text(content=content, encoding=codec, separator=separator, first_line=first_line, is_quoted=is_quoted)


def unix_lines(text: str) -> str:
    """Return a text with Unix line endings."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def first_row(text: Text) -> Row:
    """Return the first row, an empty row for a text without rows."""
    return next(text.rows(), Row(text.first_line, []))


def repeated_names(names_in_use: Iterable[str], header: Sequence[str]) -> list[str]:
    """Return a note on each used column with a repeated name."""
    names = [name.strip() for name in header]
    return [
        f"several columns are called {quoted(name)}: the first is read"
        for name in names_in_use
        if names.count(name) > 1
    ]


def _first(content: str, codec: str, separator: str) -> list[str]:
    return first_row(Text(content=content[:_LONGEST], encoding=codec, separator=separator)).fields


class _Reader:
    """Parser with its position in a text."""

    def __init__(self, text: Text, width: int | None) -> None:
        self._text, self._width = text, width
        self._at, self._line = 0, text.first_line
        self._failed_fields, self._failed_fields_max = 0, _FAILED_FIELDS_MAX + len(text.content)
        mark = re.escape(text.separator)
        plain = f"[^{mark}\n]*" if len(text.separator) == 1 else f"(?:(?!{mark})[^\n])*"
        self._quoted_field = re.compile(rf' *"(?P<field>[^"]*+(?:""[^"]*+)*+)"[ \t]*?(?P<end>{mark}|\n|\Z)')
        self._plain = re.compile(rf"(?P<field>{plain})(?P<end>{mark}|\n|\Z)")
        self._opens = re.compile(r' *"')

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._text.content)

    def next(self) -> list[Row]:
        """Return the next row, or the lines that a quote invalidates."""
        content, begin, line = self._text.content, self._at, self._line
        end = content.find("\n", begin)
        first = content[begin : end if end >= 0 else len(content)]
        if not self._text.is_quoted or '"' not in first:
            self._pass([first])
            return [Row(line, first.split(self._text.separator))]
        try:
            fields, lines = self._fields()
        except RowError as error:
            self._pass([first])
            return [Row(line, [first], str(error))]
        self._pass(lines)
        if len(lines) > 1 and self._could_be_rows(lines):
            problem = f"a quote opens in line {line} and closes after lines that could be rows of their own"
            return [Row(line + number, [text], problem) for number, text in enumerate(lines)]
        return [Row(line, fields)]

    def _pass(self, lines: Sequence[str]) -> None:
        self._at += sum(map(len, lines)) + len(lines)
        self._line += len(lines)

    def _fields(self) -> tuple[list[str], list[str]]:
        """Return the fields of the next record, and its lines.

        Raises:
            RowError: a quote is not closed at the end of its field.
        """
        content, begin, at = self._text.content, self._at, self._at
        end, limit = content.find("\n", begin), begin + _LONGEST
        fields: list[str] = []
        if self._failed_fields >= self._failed_fields_max and end >= 0:
            limit = min(limit, end + 2)
        while True:
            is_quoted = self._opens.match(content, at) is not None
            match = (self._quoted_field if is_quoted else self._plain).match(content, at, limit)
            if match is None or match.end() >= limit < len(content):
                raise self._unclosed(fields)
            fields.append(match["field"].replace('""', '"') if is_quoted else match["field"])
            at = match.end()
            if match["end"] != self._text.separator:
                break
            if self._width is not None and len(fields) >= self._width and 0 <= end < at:  # too many for a row
                raise self._unclosed(fields)
        lines = content[begin : match.start("end")].split("\n")
        if len(lines) > 1 and self._width not in (None, len(fields)):
            raise self._unclosed(fields)
        return fields, lines

    def _unclosed(self, fields: Sequence[str]) -> RowError:
        self._failed_fields += len(fields)
        return RowError("a quote is not closed at the end of its field")

    def _could_be_rows(self, lines: Sequence[str]) -> bool:
        """Return whether lines joined by a quote could be rows: any in between, or both the first and the last."""
        if self._width in (None, 1):
            return False
        first, *between, last = (line.count(self._text.separator) + 1 == self._width for line in lines)
        return any(between) or (first and last)
