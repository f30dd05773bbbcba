"""Detection of text encodings: UTF-8, UTF-16 or UTF-32 by their byte order mark, or Windows-1252."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

UNDECODED = "surrogateescape"
"""Error handler for undecodable bytes, which keeps them for encoding."""
UTF_8, WINDOWS = "utf-8", "cp1252"
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_JSON = (b'{"', b"{ ", b"{\n", b"{\r", b"[{", b"[\n", b"[\r")
_OTHER_FORMATS = (
    (b"\x1f\x8b", "it is compressed with gzip: unpack it"),
    (b"BZh91AY&SY", "it is compressed with bzip2: unpack it"),
    (b"\xfd7zXZ", "it is compressed with xz: unpack it"),
    (b"\x28\xb5\x2f\xfd", "it is compressed with zstd: unpack it"),
    (b"7z\xbc\xaf", "it is a 7z archive: unpack it"),
    (b"PK\x03\x04", "it is a ZIP archive or a spreadsheet: unpack it, or save the sheet as CSV"),
    (b"PK\x05\x06", "it is an empty ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "it is a document of Office: save it as CSV"),
    (b"PAR1\x15", "it is a Parquet file, not text"),
    (b"SQLite format 3", "it is a database of SQLite, not text"),
    (b"%PDF-", "it is a PDF, not text"),
    *((start, "it is JSON, not a table: write it as CSV") for start in _JSON),
)
"""First bytes of files of other formats, with error messages."""
MAGIC_BYTES = max(len(start) for start, _ in _OTHER_FORMATS)
"""Number of bytes for the detection of other formats."""
_NOT_OF_FILES = ("idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape")
"""Python codecs that are not used for files."""
_SURROGATES = re.compile("[\ud800-\udfff]")
_SAMPLE_BYTES = 4_096
_HIGH = re.compile(rb"[\x80-\xff]")
_SYMBOL_IN_WORD = re.compile(r"[^\W\d_][\xa1-\xa6\xac\xaf\xb1-\xb3\xb6\xb8\xb9\xbb-\xbf][^\W\d_]")
_RUN = re.compile(r"[À-ÖØ-öø-ÿ]{3}|[^\x00-\x7f]{4}")
_IMPLAUSIBLE = 0.02
"""Largest share of accented lines with implausible characters for Windows-1252."""


class EncodingError(ValueError):
    """Bytes in an unrecognised encoding."""


class OtherFormatError(EncodingError):
    """Bytes of a format other than delimited text."""


def decode(data: bytes, encoding: str | None = None, *, whole: bool = True) -> tuple[str, str]:
    """Return the text of a file, and its encoding.

    A file is UTF-8 unless most of its non-ASCII lines are not. Undecodable bytes become surrogates, so that single rows
    can be rejected.

    Args:
        data: The file.
        encoding: The encoding; detected by default.
        whole: Whether `data` is the whole file; the beginning of a file may end within a character.

    Raises:
        EncodingError: the encoding is not recognised, or not the given one.
        OtherFormatError: the file has a format other than text.
    """
    try:
        name = _named(encoding) if encoding else _recognised(data)
        errors = UNDECODED if name.startswith((UTF_8, WINDOWS)) else "strict"
        text = codecs.getincrementaldecoder(name)(errors).decode(data, final=whole)
    except UnicodeDecodeError as error:
        raise EncodingError(f"it is not {name}: {error.reason} at byte {error.start:,}") from error
    except UnicodeError as error:  # UTF-16 or UTF-32 without a byte order mark
        raise EncodingError(f"it is not {name}: {error}") from error
    if errors == "strict" and not is_decoded(text):
        raise EncodingError(f"it is not {name}: it holds halves of surrogate pairs")
    return text.removeprefix("\ufeff"), name


def is_decoded(text: str) -> bool:
    """Return whether a text has no undecodable bytes."""
    return text.isascii() or not _SURROGATES.search(text)


def _named(encoding: str) -> str:
    """Return Python's name of an encoding.

    Raises:
        EncodingError: no text encoding has this name.
    """
    try:
        name = codecs.lookup(encoding).name
        if name.replace("-", "_") in _NOT_OF_FILES:
            raise LookupError(name)
        b"a".decode(name, "ignore")  # rejects codecs that do not decode to text
    except (LookupError, ValueError) as error:
        raise EncodingError(f"{encoding} is not an encoding of text") from error
    return name


def other_format(data: bytes) -> str:
    """Return the problem of bytes of another format, by their first bytes; empty for possible text."""
    return next((problem for start, problem in _OTHER_FORMATS if data.startswith(start)), "")


def _recognised(data: bytes) -> str:
    problem = other_format(data)
    if problem:
        raise OtherFormatError(problem)
    for mark, name in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return name
    if data[:_SAMPLE_BYTES].count(0) * 4 > len(data[:_SAMPLE_BYTES]):
        raise EncodingError("it looks like UTF-16 without a byte order mark")
    accented_lines = [line for line in data.splitlines() if _HIGH.search(line)]
    invalid_lines = [line for line in accented_lines if not _is_utf8(line)]
    if 2 * len(invalid_lines) <= len(accented_lines):
        return UTF_8
    lines = list(_as_windows(invalid_lines))
    odd = sum(1 for line in lines if line is None or _SYMBOL_IN_WORD.search(line) or _RUN.search(line))
    if odd > _IMPLAUSIBLE * len(lines):
        raise EncodingError("it is neither UTF-8 nor Windows-1252")
    return WINDOWS


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _as_windows(lines: list[bytes]) -> Iterator[str | None]:
    for line in lines:
        try:
            yield line.decode(WINDOWS)
        except UnicodeDecodeError:
            yield None
