"""Delimited text: encoding, separator and quotes are recognised, and no line is lost to a quote that never closes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loaders.tables import encoding
from loaders.tables.cell import shown

SEPARATORS = ("\t", "::", ",", ";", "|")
SEPARATOR_NAMES = {"\t": "tabs", "::": "double colons", ",": "commas", ";": "semicolons", "|": "bars"}
_UNQUOTED = ("\t", "::")
"""Separators of files in which a double quote is a character like any other, unless all names of columns are quoted."""
_DECLARATION = re.compile(r"\"?sep=(?P<separator>[^\n\"])\"?\n", re.IGNORECASE)
_LONGEST = 1 << 20
"""Most characters of one record: a quote that is still open after that is not closed."""
_FAILED_FIELDS_MAX = 1_000_000
"""Most fields of records whose quotes turn out not to close, beside one for each character of the file. After that
quoted fields end in their line: such a file would have each line read again for each of the lines before it."""
_HEADER_BYTES = 64 << 10


class RowError(ValueError):
    """A line that is no row."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row: the line of the file that it begins in, from 1, and its fields, or the line itself and what is wrong."""

    line: int
    fields: list[str]
    problem: str = ""

    def misfit(self, width: int) -> str:
        """Return why the row does not have so many fields; nothing when it has, or ends with empty ones."""
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
    """The line of the file that the content begins with."""
    quoted: bool = True
    """Whether double quotes enclose fields; in most files that are separated by tabs they do not."""

    @property
    def description(self) -> str:
        """Return how the file is written."""
        return f"{self.encoding}, separated by {SEPARATOR_NAMES.get(self.separator, self.separator)}"

    def rows(self, width: int | None = None) -> Iterator[Row]:
        """Yield the rows that are not blank, in the order of the file.

        A quoted field may go on over several lines. A quote that does not close, or closes only after lines that are
        rows of their own, spoils the lines it touches, each of which comes with what is wrong; the next row follows.

        Args:
            width: How many fields a row has, where that is known.
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
        choose: How well the fields of the first line fit, by which the separator is chosen.
        name: The encoding, where it is known.
        separator: The separator, where it is known.

    Raises:
        EncodingError: the encoding cannot be recognised.
        OSError: the file cannot be read.
    """
    return parse(path.read_bytes(), choose, name=name, separator=separator)


def read_header(path: Path, choose: Callable[[Sequence[str]], int], *, separator: str | None = None) -> list[str]:
    """Return the fields of the first line of a file, of which only the beginning is read.

    Names of columns can be read in any encoding; whether that of the file is known shows when all of it is read.
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
    """Return the text of bytes, which may be the beginning of a file only; see `read`."""
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
    quoted = separator not in _UNQUOTED or all(re.fullmatch(r'"[^"]*"', field.strip()) for field in header)
    return Text(content=content, encoding=codec, separator=separator, first_line=first_line, quoted=quoted)


def unix_lines(text: str) -> str:
    """Return a text whose lines end as those of Unix do."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def first_row(text: Text) -> Row:
    """Return the first row, an empty one where there is none."""
    return next(text.rows(), Row(text.first_line, []))


def repeated_names(used: Iterable[str], header: Sequence[str]) -> list[str]:
    """Return a note on each column in use whose name another column has, too."""
    names = [name.strip() for name in header]
    return [f"several columns are called {shown(name)}: the first is read" for name in used if names.count(name) > 1]


def _first(content: str, codec: str, separator: str) -> list[str]:
    return first_row(Text(content=content[:_LONGEST], encoding=codec, separator=separator)).fields


class _Reader:
    """Where reading has come to in a text."""

    def __init__(self, text: Text, width: int | None) -> None:
        self._text, self._width = text, width
        self._at, self._line = 0, text.first_line
        self._failed_fields, self._failed_fields_max = 0, _FAILED_FIELDS_MAX + len(text.content)
        mark = re.escape(text.separator)
        plain = f"[^{mark}\n]*" if len(text.separator) == 1 else f"(?:(?!{mark})[^\n])*"
        self._quoted = re.compile(rf' *"(?P<field>[^"]*+(?:""[^"]*+)*+)"[ \t]*?(?P<end>{mark}|\n|\Z)')
        self._plain = re.compile(rf"(?P<field>{plain})(?P<end>{mark}|\n|\Z)")
        self._opens = re.compile(r' *"')

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._text.content)

    def next(self) -> list[Row]:
        """Return the next row, or the lines that a quote spoils."""
        content, begin, line = self._text.content, self._at, self._line
        end = content.find("\n", begin)
        first = content[begin : end if end >= 0 else len(content)]
        if not self._text.quoted or '"' not in first:
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
            RowError: a quote does not close, or not at the end of its field.
        """
        content, begin, at = self._text.content, self._at, self._at
        end, limit = content.find("\n", begin), begin + _LONGEST
        fields: list[str] = []
        if self._failed_fields >= self._failed_fields_max and end >= 0:
            limit = min(limit, end + 2)
        while True:
            quoted = self._opens.match(content, at) is not None
            match = (self._quoted if quoted else self._plain).match(content, at, limit)
            if match is None or match.end() >= limit < len(content):
                raise self._unclosed(fields)
            fields.append(match["field"].replace('""', '"') if quoted else match["field"])
            at = match.end()
            if match["end"] != self._text.separator:
                break
            if self._width is not None and len(fields) >= self._width and 0 <= end < at:  # more than a row has
                raise self._unclosed(fields)
        lines = content[begin : match.start("end")].split("\n")
        if len(lines) > 1 and self._width not in (None, len(fields)):
            raise self._unclosed(fields)
        return fields, lines

    def _unclosed(self, fields: Sequence[str]) -> RowError:
        self._failed_fields += len(fields)
        return RowError("a quote is not closed at the end of its field")

    def _could_be_rows(self, lines: Sequence[str]) -> bool:
        """Return whether lines that a quote has joined could be rows: those between, or both the first and the last."""
        if self._width in (None, 1):
            return False
        first, *between, last = (line.count(self._text.separator) + 1 == self._width for line in lines)
        return any(between) or (first and last)
