"""Strategies for files: mutations of bytes, tables of awkward cells in any dress, and arrays."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import strategies as st

AWKWARD = (
    "", " ", "\t", "0", "-0", "-1", "1", "5", "100", "1.5", "1,5", "1.299", "1.299,00", "12,99", "1 299,5",
    "1\u2009299",
    "1\u202f299,50", "1_000", "1e5", "1e400", "-1e400", "4.00638E+12", "9" * 30, "9" * 400, "0x1f", "NaN", "nan", "inf",
    "-inf", "NULL", "null", "None", "N/A", "#N/A", "\\N", "-", "?", "true", "٤", "١٢٫٥", "१२३", "４", "½", "²", "Ⅳ",
    "$5", "Rs. 499", "₹499/-", "12€99", "$10 - $15", "-5 €", "free", "5 kr", "CHF 1'299.–", "90 %", "9/10", "4/0",
    "★★★", "2.3K", "4.5 out of 5 stars", "&nbsp;5", "&#53;", "&#" + "9" * 5000 + ";", "&#xD800;", "&#0;",
    "1396860669", "1396860669000", "1396860669000000", "1396860669000000000", "-1396860669", "1e18", "1e30",
    "2014-04-07", "2014-04-07T08:51:09Z", "2014-04-07 08:51:09 Europe/Berlin", "2014-04-07 08:51 A/B", "07/04/2014",
    "31/12/2013", "12/31/2013", "04/2014", "Mon, 07 Apr 2014 08:51:09 GMT", "0001-01-01", "9999-12-31T23:59:59",
    "9999-12-31T23:59:59-12:00", "1969-12-31", "2014", "20140407", "2014-02-30", "10:10", "24:00:00 1 Jan 2014",
    "2014-04-07T08:51:09+99:99", "1 Jan 2014 PST", "01-Jan-1995", "01-Jan-0000", "soon",
    "A (1995)", "A (0000)", "A (٢٠١٤)", "Drama|Comedy", "(no genres listed)", "||", "M", "F", "unknown|0",
    "a/b", "../../etc/passwd", "a\u200db", "\u200d", "👍🏽", "🏴\U000e0067\U000e007f", "e\u0301", "é", "~all",
    "a" * 256, "a" * 257,
    "x" * 5000, "a\x00b", "\x00", "\x1b[31m", "\x7f", "\x85", "a\u2028b", "\u202eabc", "\ufeff", "\ufeffid", "\ufffd",
    "\U0010ffff", "𝒜", "ﬁ", "İ", '"', '""', '"""', '"a', 'a"', '"a"b', "'", "a\nb", "a\r\nb", "a\rb", "\\", "sep=;",
    "=1+1", "[bold]x[/]", "{}", '{"a": 1}', "<b>", "https://a/dp/B0BRKXTSBT", "B0BRKXTSBT", "name", "user",
)  # fmt: skip
"""Cells."""
PRODUCT_NAMES = (
    "id", "name", "main_category", "sub_category", "image", "link", "ratings", "no_of_ratings", "discount_price",
    "actual_price", "discount_ratio", "brand", "stock", "created_at", "EAN", "title", "Category", " Price ", "reviews",
)  # fmt: skip
EVENT_NAMES = (
    "user", "item", "rating", "timestamp", "userId", "movieId", "SessionId", "ItemId", "Time", "user_id:token", "date",
)  # fmt: skip
SEPARATORS = (",", ";", "\t", "|", "::")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1", "cp1251", "gbk")
LINE_ENDS = ("\n", "\r\n", "\r", "\n\n", "\n\r")

_tokens = st.one_of(
    st.sampled_from(AWKWARD).map(lambda cell: cell.encode()),
    st.sampled_from((*SEPARATORS, *LINE_ENDS, "\ufeff", ",,,,", '","', '\n"')).map(str.encode),
    st.sampled_from((b"\x1f\x8b\x08", b"PK\x03\x04", b"PAR1", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb", b"\xed\xa0\x80")),
    st.binary(min_size=1, max_size=4),
)
_nasty = st.one_of(
    st.sampled_from(AWKWARD),
    st.text(max_size=8),
    st.text(alphabet="0123456789.,-+/: TZeE٤'%$€", max_size=16),
    st.tuples(st.sampled_from(AWKWARD), st.sampled_from(AWKWARD)).map("".join),
)


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """Return bytes with up to six changes: flipped, inserted, removed, repeated, cut off, or written otherwise."""
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.sampled_from((1, 2, 3, 8, 40))))
        match draw(st.sampled_from(("flip", "insert", "insert", "remove", "repeat", "cut", "ends", "encoding"))):
            case "flip" if at < len(data):
                data = data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :]
            case "insert":
                data = data[:at] + draw(_tokens) + data[at:]
            case "remove":
                data = data[:at] + data[end:]
            case "repeat":
                data = data[:end] + data[at:end] * draw(st.integers(1, 20)) + data[end:]
            case "cut" if draw(st.booleans()):
                data = data[:at]
            case "ends":
                data = data.replace(b"\n", draw(st.sampled_from(LINE_ENDS)).encode())
            case "encoding":
                data = data.decode("utf-8", "replace").encode(draw(st.sampled_from(ENCODINGS)), "replace")
    return data


@st.composite
def _text(draw: st.DrawFn, header: list[str], columns: list[st.SearchStrategy[str]], separator: str) -> str:
    """Return the text of a table, some of whose cells are awkward and some rows ragged."""
    quoting = draw(st.sampled_from(("none", "needed", "needed", "all")))
    share = draw(st.sampled_from((0, 1, 3, 10)))
    lines = [header] if header else []
    for _ in range(draw(st.integers(0, 6))):
        row = [draw(_nasty if draw(st.integers(0, 9)) < share else column) for column in columns]
        if draw(st.integers(0, 19)) == 0:
            row = row[: draw(st.integers(0, len(row)))] + draw(st.lists(_nasty, max_size=2))
        lines.append(row)

    def written(cell: str) -> str:
        needs_quotes = quoting == "needed" and any(mark in cell for mark in (separator, '"', "\n", "\r"))
        return '"' + cell.replace('"', '""') + '"' if needs_quotes or quoting == "all" else cell

    end = draw(st.sampled_from(LINE_ENDS))
    content = end.join(separator.join(map(written, row)) for row in lines)
    has_declaration = draw(st.integers(0, 9)) == 0
    return (f"sep={separator}{end}" if has_declaration else "") + content + (end if draw(st.booleans()) else "")


def _encoded(draw: st.DrawFn, content: str) -> bytes:
    return content.encode(draw(st.sampled_from(("utf-8", *ENCODINGS))), "replace")


_ids = st.sampled_from(("1", "2", "P1", "a", "b", "0012", "é"))
_times = st.sampled_from(("1396860669", "1396860670", "2014-04-07", "2014-04-07T08:51:09Z", "31/12/2013", "01/02/2014"))
_typical: dict[str, st.SearchStrategy[str]] = {
    **dict.fromkeys(("user", "item", "userId", "movieId", "SessionId", "ItemId", "user_id:token", "id", "EAN"), _ids),
    **dict.fromkeys(("timestamp", "Time", "date", "created_at"), _times),
    **dict.fromkeys(("rating", "ratings"), st.sampled_from(("4", "4.5", "4,5", "1", "5"))),
    **dict.fromkeys(
        ("discount_price", "actual_price", " Price "), st.sampled_from(("5", "12.99", "12,99", "1.299", "$5", "5 €"))
    ),
    **dict.fromkeys(("no_of_ratings", "reviews", "stock"), st.sampled_from(("3", "1,234", "2.3K"))),
}
_words = st.sampled_from(("Lamp", "Café", "Kettle, red", "x"))


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, bytes]:
    """Return the name and the bytes of a table of products or events."""
    of_products = draw(st.booleans())
    known_names = PRODUCT_NAMES if of_products else EVENT_NAMES
    required_columns = (
        ["name", "main_category"] if of_products else draw(st.sampled_from((["user", "item", "timestamp"], [])))
    )
    header = draw(
        st.permutations([*required_columns, *draw(st.lists(st.sampled_from((*known_names, "x")), max_size=5))])
    )
    columns = [_typical.get(name, _words) for name in header]
    if not of_products and not required_columns and draw(st.booleans()):
        header, columns = [], [_ids, _ids, _typical["rating"], _times]
    separator = draw(st.sampled_from(SEPARATORS))
    content = draw(_text(header, columns, separator))
    return draw(st.sampled_from(("t.csv", "t.tsv", "t.txt", "t.inter"))), _encoded(draw, content)


@st.composite
def movielens_folders(draw: st.DrawFn) -> dict[str, bytes]:
    """Return the files of a MovieLens folder of any layout, or of clicks or check-ins, by name."""
    stars, seconds, flag = _typical["rating"], st.sampled_from(("978300760", "100")), st.sampled_from(("0", "1"))
    titles, genres = st.sampled_from(("A (1995)", "B")), st.sampled_from(("Drama", "Film-Noir|Sci-Fi"))
    release_date, age = st.sampled_from(("01-Jan-1995", "")), st.sampled_from(("1", "25", "70"))
    sex, work = st.sampled_from(("M", "F")), st.sampled_from(("writer", "10"))
    iso, degrees = (
        st.sampled_from(("2010-10-19 23:55:27+0000", "2010-10-18T22:17:43Z")),
        st.sampled_from(("30.2", "-9")),
    )
    layouts: dict[str, list[tuple[str, list[str], list[st.SearchStrategy[str]], str]]] = {
        "100k": [
            ("u.data", [], [_ids, _ids, stars, seconds], "\t"),
            ("u.item", [], [_ids, titles, release_date, st.just(""), st.just("http://a"), flag, flag], "|"),
            ("u.user", [], [_ids, age, sex, work, _ids], "|"),
            ("u.genre", ["unknown", "0"], [genres, flag], "|"),
        ],
        "1m": [
            ("ratings.dat", [], [_ids, _ids, stars, seconds], "::"),
            ("movies.dat", [], [_ids, titles, genres], "::"),
            ("users.dat", [], [_ids, sex, age, st.just("10"), _ids], "::"),
        ],
        "latest": [
            ("ratings.csv", ["userId", "movieId", "rating", "timestamp"], [_ids, _ids, stars, seconds], ","),
            ("movies.csv", ["movieId", "title", "genres"], [_ids, titles, genres], ","),
        ],
        "clicks": [
            ("c_train_full.txt", ["SessionId", "ItemId", "Time"], [_ids, _ids, _times], "\t"),
            ("c_test.txt", ["SessionId", "ItemId", "Time"], [_ids, _ids, _times], "\t"),
        ],
        "gowalla": [("visits.csv", [], [_ids, iso, degrees, degrees, _ids], "\t")],
    }
    files = {}
    for name, header, columns, separator in layouts[draw(st.sampled_from(sorted(layouts)))]:
        if draw(st.integers(0, 9)):
            files[name] = _encoded(draw, draw(_text(header, columns, separator)))
    return files


@st.composite
def arrays(draw: st.DrawFn) -> bytes:
    """Return the bytes of an array: of three columns, of another shape or type, or broken."""
    number = st.one_of(
        st.integers(-5, 100),
        st.sampled_from((0.5, -0.0, float("nan"), float("inf"), -float("inf"), 1e300, 2.0**63, 90.5, 181.0, 1e18)),
    )
    width = draw(st.sampled_from((3, 3, 3, 3, 2, 0)))
    rows = draw(st.lists(st.lists(number, min_size=width, max_size=width), max_size=5))
    kind = draw(st.sampled_from(("f8", "f8", "f8", "f4", "i8", "i4", "u8", "?", "c16", "U5", "S5", "M8[s]", "O")))
    out = io.BytesIO()
    with np.errstate(all="ignore"):
        floats = np.array(rows, "f8").reshape(-1, width) if width else np.zeros(3)
        try:
            values = np.nan_to_num(floats, posinf=9e9).astype(kind) if kind[0] in "iu?M" else floats.astype(kind)
        except (OverflowError, ValueError):
            values = floats
        (np.savez if draw(st.integers(0, 19)) == 0 else np.save)(out, values)
    data = out.getvalue()
    return draw(mutated(data)) if draw(st.integers(0, 2)) == 0 else data
