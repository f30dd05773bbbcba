"""Event streams are read as the HTML standard says, however their bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.sse import EventParser, ServerEvent


def read(data: bytes, *, cuts: tuple[int, ...] = ()) -> list[ServerEvent]:
    parser, places = EventParser(), sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[start:end] for start, end in pairwise(places)]
    return [event for piece in pieces for event in parser.feed(piece)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data: a\n\n", [("", "message", "a")]),
        ("data: a\r\n\r\n", [("", "message", "a")]),
        ("data: a\r\ndata: b\r\n\r\n", [("", "message", "a\nb")]),
        ("event: x\r\ndata: a\r\rdata: b\n\n", [("", "x", "a"), ("", "message", "b")]),
        ("data: a\r\r", [("", "message", "a")]),
        ("data: a\r\n\n", [("", "message", "a")]),
        ("data: a\n\r", [("", "message", "a")]),
        ("data:a\n\n", [("", "message", "a")]),
        ("data:  a\n\n", [("", "message", " a")]),
        ("data: a\ndata: b\n\n", [("", "message", "a\nb")]),
        ("data\n\n", [("", "message", "")]),
        ("data\ndata\n\n", [("", "message", "\n")]),
        ("data: a", []),
        ("data: a\n", []),
        ("\n\n\n", []),
        (": a comment\n\n", []),
        (":\ndata: a\n\n", [("", "message", "a")]),
        ("event: feed\n\ndata: a\n\n", [("", "message", "a")]),
        (
            "event: feed\nid: 5-1\ndata: {\ndata:}\n\n\nretry: 9\ndata: x\n\n",
            [("5-1", "feed", "{\n}"), ("5-1", "message", "x")],
        ),
        ("id: 1\ndata: a\n\nid\ndata: b\n\n", [("1", "message", "a"), ("", "message", "b")]),
        ("id: 1\0\ndata: a\n\n", [("", "message", "a")]),
        ("other: a\ndata : b\n\n", []),
        ("\ufeffdata: a\n\n", [("", "message", "a")]),
        ("data: a\n\n\ufeffdata: b\n\n", [("", "message", "a")]),
        ("data: a:b: c\n\n", [("", "message", "a:b: c")]),
        ("data: \u2028\x85\x0b\x0c\x1c\x1d\x1e\u2029\n\n", [("", "message", "\u2028\x85\x0b\x0c\x1c\x1d\x1e\u2029")]),
        ("data: 👩‍👩‍👧 本\n\n", [("", "message", "👩‍👩‍👧 本")]),
    ],
)
def test_a_stream_becomes_its_events_also_byte_by_byte(text: str, expected: list[tuple[str, str, str]]) -> None:
    data = text.encode()
    assert read(data) == expected
    assert read(data, cuts=tuple(range(len(data)))) == expected


def test_bytes_that_are_no_text_do_not_end_a_stream() -> None:
    assert [event.data for event in read(b"data: a\xffb\n\ndata: c\n\n")] == ["a\ufffdb", "c"]


@given(
    st.text(alphabet="dat: \n\r\0aié本\u2028\x85\ufeff😀", max_size=60),
    st.lists(st.integers(0, 500), max_size=6),
)
def test_where_a_stream_is_cut_changes_nothing(text: str, cuts: list[int]) -> None:
    data = text.encode()
    assert read(data, cuts=tuple(cuts)) == read(data)


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), min_size=1))
def test_what_is_written_as_data_is_read_as_it_was(lines: list[str]) -> None:
    data = "".join(f"data: {line}\r\n" for line in lines) + "\r\n"
    assert [event.data for event in read(data.encode())] == ["\n".join(lines)]
