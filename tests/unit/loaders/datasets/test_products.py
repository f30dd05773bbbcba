"""Tables of products: which rows are products, and why the others are not."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loaders import DatasetError
from loaders.datasets import products
from loaders.datasets.product_column import ProductFormat
from loaders.datasets.products import Products

NOW_MS = 1_795_000_000_000
STARS = ProductFormat(rating_scale=5.0)
COLUMNS = (
    "id,name,main_category,sub_category,image,link,ratings,no_of_ratings,discount_price,actual_price,discount_ratio"
)
PLUGS = (
    "AF321D06AE,SOUNDLINK Soft Silicone Ear Plugs,stores,Amazon Fashion,https://m/51E.jpg,"
    "https://www.amazon.in/SOUNDLINK/dp/B075GKQCG2/ref=sr_1_6956,3.5,115,243.0,1240.0,0.804"
)
SCRAPED = "name,main_category,sub_category,image,link,ratings,no_of_ratings,discount_price,actual_price,Unnamed: 0"


def read(folder: Path, *lines: str, form: ProductFormat = STARS) -> Products:
    path = folder / "products.csv"
    path.write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    return products.read(path, now_ms=NOW_MS, form=form)


def problem(folder: Path, row: str) -> str:
    [bad] = read(folder, COLUMNS, row, PLUGS).rejected_rows
    assert bad.where.line == 2
    return bad.where.problem


def rejected(parsed_products: Products) -> dict[int, str]:
    return {row.where.line: row.where.problem for row in parsed_products.rejected_rows}


def test_the_eleven_columns_become_an_item(tmp_path: Path) -> None:
    [item] = read(tmp_path, COLUMNS, PLUGS).items
    assert (item.item_id, item.kind, item.title) == ("AF321D06AE", "product", "SOUNDLINK Soft Silicone Ear Plugs")
    assert (item.category, item.topics) == ("stores", ["Amazon Fashion"])
    assert (item.price, item.original_price, item.rating, item.reviews) == (243.0, 1240.0, 3.5, 115)
    assert item.url is not None
    assert item.image_url == "https://m/51E.jpg"


def test_scraped_columns_are_understood_and_the_id_is_in_the_link(tmp_path: Path) -> None:
    row = 'Lloyd Split AC,appliances,Air Conditioners,https://i,https://a/x/dp/B0BRKXTSBT/ref=1,4.2,"2,255","₹32,999","₹58,990",0'
    [item] = read(tmp_path, SCRAPED, row).items
    assert (item.item_id, item.price, item.original_price, item.reviews) == ("B0BRKXTSBT", 32_999.0, 58_990.0, 2_255)
    assert item.attributes == {"currency": "INR"}


def test_missing_values_are_none_and_a_single_price_is_the_price(tmp_path: Path) -> None:
    [item] = read(tmp_path, COLUMNS, ",A lamp,,,,,,,,99,").items
    assert (item.category, item.topics, item.rating, item.reviews, item.url) == ("other", [], None, None, None)
    assert (item.price, item.original_price) == (99.0, 99.0)
    assert len(item.item_id) == 10


def test_a_product_in_several_rows_is_one_in_all_their_sub_categories(tmp_path: Path) -> None:
    parsed_products = read(tmp_path, COLUMNS, PLUGS, PLUGS.replace("Amazon Fashion", "Ear Plugs"))
    assert [item.topics for item in parsed_products.items] == [["Amazon Fashion", "Ear Plugs"]]
    assert (parsed_products.rows, parsed_products.repeat_count) == (2, 1)


@pytest.mark.parametrize(
    ("good", "bad", "text"),
    [
        ("3.5,115", "Get,115", "ratings: 'Get' is not a rating from 0 to 5"),
        ("3.5,115", "5.1,115", "ratings: '5.1'"),
        ("115", "FREE Delivery", "no_of_ratings: 'FREE Delivery'"),
        ("243.0", "cheap", "discount_price: 'cheap' is not a price"),
        ("243.0", "-243.0", "discount_price: '-243.0' is a negative price"),
        ("243.0,1240.0", "₹243,$1240", "discount_price is in INR and actual_price in USD"),
        ("243.0,1240.0", "243 kr,1240 €", "discount_price is in kr and actual_price in EUR"),
        ("243.0,1240.0", "1240.0,243.0", "discount_price 1240 is above actual_price 243"),
        ("0.804", "0.3", "discount_ratio 0.3 is not that of 243 and 1240"),
        ("AF321D06AE", "8.90123E+12", "id: '8.90123E+12' has been rounded by a spreadsheet"),
        ("AF321D06AE", "A" * 257, "item_id must be 1 to 256"),
        ("SOUNDLINK Soft Silicone Ear Plugs", "  ", "the name is missing"),
        (",0.804", "", "10 fields instead of 11"),
    ],
)
def test_a_bad_row_is_reported_with_its_line_and_reason(tmp_path: Path, good: str, bad: str, text: str) -> None:
    assert text in problem(tmp_path, PLUGS.replace(good, bad, 1))


def test_the_line_of_a_row_is_that_of_the_file_though_fields_hold_breaks(tmp_path: Path) -> None:
    cell = '"A lamp\nof glass"'
    parsed_products = read(
        tmp_path, COLUMNS, PLUGS.replace("SOUNDLINK Soft Silicone Ear Plugs", cell), PLUGS.replace("3.5", "x")
    )
    assert [bad.where.line for bad in parsed_products.rejected_rows] == [4]
    assert [item.title for item in parsed_products.items] == ["A lamp of glass"]


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\n\n", "\t", "\x0b", "\x0c", " \n"])
def test_breaks_inside_quoted_fields_are_spaces(tmp_path: Path, line_break: str) -> None:
    columns = "id,name,main_category,sub_category,brand"
    text = ",".join(f'"{word}{line_break}and more"' for word in ("Lamp", "Home", "Lights", "Ikea"))
    parsed_products = read(tmp_path, columns, f"P1,{text}")
    assert not parsed_products.rejected_rows
    [item] = parsed_products.items
    values = [item.title, item.category, *item.topics, item.brand or ""]
    assert [" ".join(value.split()) for value in values] == [
        "Lamp and more", "Home and more", "Lights and more", "Ikea and more"
    ]  # fmt: skip
    assert all(value.isprintable() for value in values)


def test_a_file_without_the_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no column name and none main_category; its columns are user, item, rating"):
        read(tmp_path, "user,item,rating", "1,2,3")
    with pytest.raises(DatasetError, match="there is no such file"):
        products.read(tmp_path / "none.csv", now_ms=NOW_MS, form=STARS)


TABLES = Path(__file__).parents[1] / "files" / "tables"
GERMAN = ProductFormat(rating_scale=5.0, columns={"id": "EAN", "name": "Bezeichnung", "main_category": "Warengruppe"})
UNCLOSED = "a quote is not closed at the end of its field"
SPOILED = "a quote opens in line 2 and closes after lines that could be rows of their own"
AMBIGUOUS = "may be {} or {}: the column does not show its decimal mark"


@pytest.mark.parametrize(
    ("name", "rows", "ids", "problems"),
    [
        ("ambiguous.csv", 3, "P2", {2: AMBIGUOUS.format(1299, 1.299), 4: AMBIGUOUS.format(2499, 2.499)}),
        ("bars.txt", 3, "P1 P2", {4: "'free' is not a price"}),
        ("bom.csv", 1, "P1", {}),
        (
            "cells_of_numbers.csv",
            7,
            "P1 P2",
            {
                4: "'1e400' is not a price",
                5: "a negative price",
                6: "a negative price",
                7: "counts nanoseconds",
                8: "counts milliseconds",
            },
        ),
        (
            "control_characters.csv",
            4,
            "P3",
            {2: "control characters (U+001B)", 3: "control characters (U+007F)", 5: "control characters (U+0007)"},
        ),
        ("broken_utf8.csv", 3, "P1 P3", {3: "bytes that its encoding does not have"}),
        ("dates.csv", 3, "P1 P2", {4: "created_at: 'soon' is not a time"}),
        ("declared_separator.csv", 2, "P1 P2", {}),
        ("header_twice.csv", 1, "P1", {}),
        ("ids.csv", 5, "4006381333931 0012345678905 SKU-1/a", {4: "rounded by a spreadsheet", 6: "the id is missing"}),
        (
            "ids_of_any_script.csv",
            7,
            "a/b ن\u200cا 👍🏽 é ../../etc",
            {6: "bidirectional controls (U+202E)", 7: "the id is missing"},
        ),
        ("many_ends.csv", 4, "P1 P2 P3 P4", {}),
        ("misaligned_quotes.csv", 5, "P1", dict.fromkeys(range(2, 6), UNCLOSED)),
        ("missing_markers.csv", 4, "P3", {2: "the id is missing", 3: "the name is missing", 5: "the id is missing"}),
        ("mixed_marks.csv", 3, "P1 P2", {4: AMBIGUOUS.format(1299, 1.299)}),
        ("multi_line.csv", 2, "P1 P2", {}),
        ("nested_quotes.csv", 3, "P1", {3: UNCLOSED, 4: UNCLOSED}),
        ("old_mac.csv", 2, "P1 P2", {}),
        ("open_to_the_end.csv", 3, "P1 P3", {3: UNCLOSED}),
        ("overlong.csv", 3, "P2", {2: "title must be 1 to 1024", 3: "item_id must be 1 to 256"}),
        ("ragged.csv", 4, "P3 P4", {2: "2 fields instead of 3", 3: "4 fields instead of 3"}),
        ("ranges.csv", 3, "P1 P2", {4: "15 is above 10"}),
        ("semicolons.csv", 3, "P1 P2 P3", {}),
        ("tabs.tsv", 3, "P1 P2 P3", {}),
        ("two_marks.csv", 1, "P1", {}),
        ("two_stray_quotes.csv", 4, "P4", {2: SPOILED, 3: SPOILED, 4: SPOILED}),
        ("unclosed_quote.csv", 4, "P1 P3 P4", {3: UNCLOSED}),
        ("utf16be.csv", 1, "P1", {}),
        ("utf16le.csv", 2, "P1 P2", {}),
        ("utf32.csv", 1, "P1", {}),
        ("windows.csv", 3, "P1 P2 P3", {}),
        ("zero_bytes.csv", 2, "P2", {2: "zero byte"}),
    ],
)
def test_awkward_files(name: str, rows: int, ids: str, problems: dict[int, str]) -> None:
    parsed_products = products.read(TABLES / name, now_ms=NOW_MS, form=GERMAN if name == "ids.csv" else STARS)
    assert (
        parsed_products.rows
        == rows
        == len(parsed_products.items) + parsed_products.repeat_count + len(parsed_products.rejected_rows)
    )
    assert [item.item_id for item in parsed_products.items] == ids.split()
    assert list(rejected(parsed_products)) == list(problems)
    for line, told_problem in problems.items():
        assert told_problem in rejected(parsed_products)[line]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("blank.csv", "it is empty"),
        ("broken_header.csv", "its columns are id, naÿme, main\\x1b[31m; it should have"),
        ("bzip2.csv", "it is compressed with bzip2: unpack it"),
        ("empty.csv", "it is empty"),
        ("gone_bytes_of_windows.csv", "it is neither UTF-8 nor Windows-1252; name its encoding"),
        ("gzip.csv", "it is compressed with gzip: unpack it"),
        ("gzip_bomb.csv", "it is compressed with gzip: unpack it"),
        ("gzip_cut_off.csv", "it is compressed with gzip: unpack it"),
        ("json_array.csv", "it is JSON, not a table"),
        ("json_lines.csv", "it is JSON, not a table"),
        ("long_header.csv", "xxxxx…"),
        ("utf16_cut_off.csv", "it is not utf-16: truncated data at byte 58"),
        ("utf16_unmarked.csv", "UTF-16 without a byte order mark"),
        ("zip_of_none.csv", "it is an empty ZIP archive"),
        ("zip_of_two.csv", "it is a ZIP archive or a spreadsheet"),
        ("zip_that_climbs.csv", "it is a ZIP archive or a spreadsheet"),
    ],
)
def test_files_of_no_products_are_refused(name: str, problem: str) -> None:
    with pytest.raises(DatasetError) as refusal:
        products.read(TABLES / name, now_ms=NOW_MS, form=STARS)
    assert problem in str(refusal.value)
    assert str(refusal.value).isprintable()


def test_a_file_of_names_alone_has_no_rows() -> None:
    assert products.read(TABLES / "header_only.csv", now_ms=NOW_MS, form=STARS).rows == 0


def test_a_name_of_two_columns_is_noted() -> None:
    parsed_products = products.read(TABLES / "header_twice.csv", now_ms=NOW_MS, form=STARS)
    assert [item.title for item in parsed_products.items] == ["Kettle"]
    assert "several columns are called 'name': the first is read" in parsed_products.notes


def test_every_awkward_file_is_tried() -> None:
    tests = (test_awkward_files, test_files_of_no_products_are_refused)
    trials = {
        case[0] for test in tests for mark in test.pytestmark if mark.name == "parametrize" for case in mark.args[1]
    }
    assert trials | {"header_only.csv"} == {
        file.name for file in TABLES.iterdir() if file.suffix in {".csv", ".tsv", ".txt"}
    }


def test_how_a_file_was_read_is_said() -> None:
    notes = products.read(TABLES / "ranges.csv", now_ms=NOW_MS, form=STARS).notes
    assert notes[0] == "utf-8, separated by commas"
    assert any("the currency of 1 price with $ is taken for USD; it may be CAD" in note for note in notes)
    assert any("1 price with a range" in note for note in notes)
    assert products.read(TABLES / "windows.csv", now_ms=NOW_MS, form=STARS).notes[0] == "cp1252, separated by commas"


def test_an_unclosed_quote_does_not_swallow_the_rows_after_it(tmp_path: Path) -> None:
    rows = [f"H{number:09},Thing {number},Home" for number in range(40)]
    rows[10] = 'H000000010,"24 inch monitor,Home'
    parsed_products = read(tmp_path, "id,name,main_category", *rows)
    assert (parsed_products.rows, len(parsed_products.items), list(rejected(parsed_products))) == (40, 39, [12])


def test_products_of_any_ids_are_taken_and_ids_in_links_too(tmp_path: Path) -> None:
    parsed_products = read(
        tmp_path,
        "id,name,category,link",
        "af321d06ae,A,x,",
        "4006381333931,B,x,",
        ",C,x,https://a/dp/B0BRKXTSBT",
        ",D,x,",
    )
    assert [item.item_id for item in parsed_products.items] == ["af321d06ae", "4006381333931", "B0BRKXTSBT"]
    assert rejected(parsed_products) == {5: "the id is missing"}


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    form = ProductFormat(
        rating_scale=5.0,
        columns={"id": "SKU", "name": "Produkt", "main_category": "Gruppe", "discount_price": "VK"},
        separator=";",
    )
    [item] = read(tmp_path, "SKU;Produkt;Gruppe;VK;price", "a/1;Stift;Büro;1,99 €;7", form=form).items
    assert (item.item_id, item.title, item.category, item.price) == ("a/1", "Stift", "Büro", 1.99)
    with pytest.raises(DatasetError, match="no column Preis; its columns are SKU"):
        read(
            tmp_path,
            "SKU,name,category",
            "1,2,3",
            form=ProductFormat(rating_scale=5.0, columns={"discount_price": "Preis"}),
        )


def test_ratings_come_from_the_scale_of_the_file(tmp_path: Path) -> None:
    lines = ("name,category,ratings", "A,x,9", "B,x,5", "C,x,4.5/5")
    assert [item.rating for item in read(tmp_path, *lines, form=ProductFormat(rating_scale=10)).items] == [
        4.5,
        2.5,
        4.5,
    ]
    with pytest.raises(DatasetError, match="above 5; name the scale of its ratings"):
        read(tmp_path, "name,category,ratings", *(f"{number},x,{number}" for number in range(10)))


def test_a_range_of_prices_keeps_both_ends(tmp_path: Path) -> None:
    [item] = read(tmp_path, "name,category,price", "A,x,$10 - $15").items
    assert (item.price, item.attributes) == (10.0, {"currency": "USD", "price_to": "15"})


def test_the_marks_of_both_columns_of_prices_decide_together(tmp_path: Path) -> None:
    [item] = read(tmp_path, "name;category;discount_price;actual_price", "A;x;1.299 €;1.499,50 €").items
    assert (item.price, item.original_price) == (1_299.0, 1_499.5)


def test_rows_that_contradict_the_first_of_their_id_are_counted(tmp_path: Path) -> None:
    parsed_products = read(tmp_path, "id,name,category,price", "A,Lamp,x,5", "A,Lamp,y,5", "A,Lamp,x,6", "A,Chair,x,5")
    assert (parsed_products.repeat_count, len(parsed_products.items)) == (3, 1)
    assert "2 rows repeat an id with another name or price: the first row holds" in parsed_products.notes


def test_a_time_of_creation_is_read_and_undated_products_are_known(tmp_path: Path) -> None:
    parsed_products = read(
        tmp_path, "id,name,category,created_at", "A,a,x,2019-10-01 00:00:00 UTC", "B,b,x,", "C,c,x,1569888000"
    )
    assert [item.created_at for item in parsed_products.items][::2] == [1_569_888_000_000] * 2, (
        "one is in seconds, one ISO 8601"
    )
    assert parsed_products.undated_items == {"B"}


FRAGMENTS = (
    '"',
    '""',
    ",",
    ";",
    "\t",
    "|",
    "\\",
    "\x00",
    "\udcff",
    "\u2028",
    "\xa0",
    "x" * 200,
    "₹",
    "1.299",
    "=1+1",
    "'",
    " ",
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.lists(st.sampled_from(FRAGMENTS), max_size=4), min_size=1, max_size=30),
    places=st.lists(st.integers(0, 25), min_size=4, max_size=4),
)
def test_each_line_is_imported_or_named(tmp_path: Path, rows: list[list[str]], places: list[int]) -> None:
    lines = []
    for number, fragments in enumerate(rows):
        line = f"P{number},Thing {number},Home,499"
        for fragment, place in zip(fragments, places, strict=False):
            line = line[:place] + fragment + line[place:]
        lines.append(line)
    parsed_products = read(
        tmp_path, "id,name,main_category,price", *lines, form=ProductFormat(rating_scale=5.0, encoding="utf-8")
    )
    assert (
        parsed_products.rows
        == len(lines)
        == len(parsed_products.items) + parsed_products.repeat_count + len(parsed_products.rejected_rows)
    )
    rejections = rejected(parsed_products)
    intact = {number for number, fragments in enumerate(rows) if not fragments}
    ids = {item.item_id for item in parsed_products.items}
    for number in intact - {line - 2 for line in rejections}:
        assert f"P{number}" in ids, "what is not named is there"
