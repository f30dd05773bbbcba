"""Delimited text in the wild: encodings, separators, and quotes that never close."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loaders.tables import delimited
from loaders.tables.delimited import Row, Text
from loaders.tables.encoding import EncodingError, decode

HEADER = "id,name,main_category"
NAMES = frozenset(HEADER.split(","))


def fit(header: Sequence[str]) -> int:
    return sum(name.strip() in NAMES for name in header)


def parse(text: str, encoding: str = "utf-8") -> Text:
    return delimited.parse(text.encode(encoding), fit)


def rows(text: str) -> list[Row]:
    return list(parse(text).rows(3))[1:]


def fields(text: str) -> list[list[str]]:
    return [row.fields for row in rows(text) if not row.problem]


def spoiled(text: str) -> list[int]:
    return [row.line for row in rows(text) if row.problem]


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-32", "utf-32"),
        ("cp1252", "cp1252"),
    ],
)
def test_encodings_are_recognised(encoding: str, name: str) -> None:
    text = parse(f"{HEADER}\n1,Café Crème – 5 €,Küche\n2,Mañana’s “best”,Küche\n", encoding)
    assert text.encoding == name
    assert list(text.rows(3))[1].fields == ["1", "Café Crème – 5 €", "Küche"]


@pytest.mark.parametrize("mark", ["utf-16-le", "utf-16-be"])
def test_both_byte_orders_are_recognised_by_their_mark(mark: str) -> None:
    text = delimited.parse(f"\ufeff{HEADER}\n1,Café,Küche\n".encode(mark), fit)
    assert (text.encoding, list(text.rows(3))[1].fields) == ("utf-16", ["1", "Café", "Küche"])


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("1,Чайник электрический,Дом", "cp1251"),
        ("1,Βραστήρας νερού,Σπίτι", "cp1253"),
        ("1,Czajnik łóżko gęś,Dom", "cp1250"),
        ("1,湯沸かし器,家電", "shift_jis"),
        ("1,电热水壶,家居", "gbk"),
    ],
)
def test_other_encodings_are_refused_and_can_be_named(text: str, encoding: str) -> None:
    data = f"{HEADER}\n{text}\n".encode(encoding)
    with pytest.raises(EncodingError, match="neither UTF-8 nor Windows-1252"):
        delimited.parse(data, fit)
    assert [row.fields for row in delimited.parse(data, fit, name=encoding).rows(3)][1] == text.split(",")


def test_utf_16_without_a_mark_is_refused() -> None:
    with pytest.raises(EncodingError, match="UTF-16 without a byte order mark"):
        delimited.parse(HEADER.encode("utf-16-le"), fit)


def test_utf_16_that_is_named_and_has_no_mark_is_refused() -> None:
    with pytest.raises(EncodingError, match="it is not utf-16: UTF-16 stream does not start with BOM"):
        decode(f"{HEADER}\n".encode(), "utf-16")


def test_halves_of_surrogate_pairs_are_not_text() -> None:
    with pytest.raises(EncodingError, match="it is not utf-7: it holds halves of surrogate pairs"):
        decode(b"+2AA-", "utf-7")


def test_a_beginning_that_other_formats_have_too_is_text() -> None:
    for begin in ("PAR1", "BZh", "PK", "7z", "[id]", "{id}"):
        assert decode(f"{begin},x,4,100\n".encode())[1] == "utf-8"


@pytest.mark.parametrize(
    "name", ["no-such-encoding", "base64", "rot13", "idna", "punycode", "undefined", "unicode_escape", "\x00"]
)
def test_what_is_no_encoding_is_refused(name: str) -> None:
    with pytest.raises(EncodingError, match="is not an encoding of text"):
        decode(b"abc", name)


def test_a_few_broken_bytes_do_not_change_the_encoding() -> None:
    data = "\n".join([HEADER, *(f"{number},Café,Küche" for number in range(9))]).encode() + b"\n9,Caf\xe9,K\n"
    text = delimited.parse(data, fit)
    assert text.encoding == "utf-8"
    assert list(text.rows(3))[-1].fields[1] == "Caf\udce9"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "::"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends_are_recognised(separator: str, end: str) -> None:
    lines = (HEADER, "1,Kettle,Home", "2,Lamp,Home")
    text = parse(end.join(line.replace(",", separator) for line in lines) + end)
    assert text.separator == separator
    assert [(row.line, row.fields) for row in text.rows(3)][1:] == [(2, lines[1].split(",")), (3, lines[2].split(","))]


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "\ufeffsep=;"])
def test_the_separator_may_be_declared(first: str) -> None:
    text = parse(f"{first}\nid;name;main_category\n1;Kettle, red;Home\n")
    assert [(row.line, row.fields) for row in text.rows(3)][1:] == [(3, ["1", "Kettle, red", "Home"])]


def test_quotes_enclose_fields_that_hold_separators_quotes_and_lines() -> None:
    text = f'{HEADER}\n1,"Lamp, ""red""",Home\n2,"A lamp\nof glass",Home\n3, "spaced" ,Home\n4,"",Home\n5,24" TV,Home\n'
    assert fields(text) == [
        ["1", 'Lamp, "red"', "Home"],
        ["2", "A lamp\nof glass", "Home"],
        ["3", "spaced", "Home"],
        ["4", "", "Home"],
        ["5", '24" TV', "Home"],
    ]
    assert [row.line for row in rows(text)] == [2, 3, 5, 6, 7]


@pytest.mark.parametrize(
    ("lines", "bad"),
    [
        (['1,"24 inch,Home', "2,Lamp,Home", "3,Chair,Home"], [2]),
        (['1,"24 inch,Home', '2,"Lamp",Home', '3,"Chair",Home'], [2]),
        (['1,"24 inch,Home', '2,"",Home', "3,Chair,Home"], [2]),
        (['1,"24 inch,Home', '2,27" screen,Home', "3,Chair,Home"], [2]),
        (['1,"24 inch,Home', "2,Lamp,Home", '3,Screen 27",Home', "4,Chair,Home"], [2, 3, 4]),
        (['1,"24 inch,Home', '2,Screen 27",Home', "3,Chair,Home"], [2, 3]),
        (['1,"24" screen",Home', "2,Lamp,Home"], [2]),
        (['1,"24 inch,Home', "2,", '3,",weird",x', "4,Chair,Home"], [2]),
        (["1,Lamp,Home", '2,"open'], [3]),
        (['1,"' + "x" * 140_000 + ",Home", "2,Lamp,Home"], [2]),
        (['1,"', "2,Lamp,Home", '"'], [2, 4]),
    ],
)
def test_an_unclosed_quote_spoils_its_own_lines_only(lines: list[str], bad: list[int]) -> None:
    text = "\n".join([HEADER, *lines])
    assert spoiled(text) == bad
    row_lines = {row.line for row in rows(text)}
    assert row_lines == set(range(2, len(lines) + 2)), "each line is a row or spoiled"


def test_a_quote_in_a_file_of_tabs_is_a_character() -> None:
    text = 'id\tname\tmain_category\n1\t"Awaken, My Love\tHome\n2\t\'Lamp"\tHome\n'
    assert [row.fields[1] for row in parse(text).rows(3)][1:] == ['"Awaken, My Love', "'Lamp\""]


def test_quotes_count_in_a_file_of_tabs_whose_header_is_quoted() -> None:
    text = '"id"\t"name"\t"main_category"\n"1"\t"Lamp\tred"\t"Home"\n'
    assert list(parse(text).rows(3))[1].fields == ["1", "Lamp\tred", "Home"]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x0b", "\x0c", "\x85", "\x1e"])
def test_only_line_ends_part_rows(mark: str) -> None:
    assert fields(f"{HEADER}\n1,A{mark}B,Home\n") == [["1", f"A{mark}B", "Home"]]


def test_the_beginning_of_a_large_file_is_enough_to_know_its_header(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-16", "cp1252"):
        file = tmp_path / f"{encoding}.csv"
        file.write_bytes((f"{HEADER}\n" + "1,Café Crème,Küche\n" * 9_000).encode(encoding))
        assert delimited.read_header(file, fit) == HEADER.split(",")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(alphabet='a,;"\t |\n\r\\', max_size=30), max_size=20))
def test_each_line_that_is_not_blank_is_part_of_one_row(lines: list[str]) -> None:
    text = parse("\n".join([HEADER, *lines]))
    physical = text.content.split("\n")
    begins = [row.line for row in text.rows(3)]
    assert begins == sorted(set(begins))
    for number, line in enumerate(physical, start=text.first_line):
        if number in begins or not line.strip(f'{text.separator}" \t'):
            continue
        before = max(begin for begin in begins if begin < number)
        row = next(row for row in text.rows(3) if row.line == before)
        assert any("\n" in field for field in row.fields), "only a quoted field goes on over lines"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_rows_or_an_unknown_encoding(data: bytes) -> None:
    try:
        text = delimited.parse(data, fit)
    except EncodingError:
        return
    assert all(row.fields or row.problem for row in text.rows(3))
