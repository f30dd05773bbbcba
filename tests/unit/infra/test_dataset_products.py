"""Tables of products: which rows are products, and why the others are not."""

from pathlib import Path

import pytest

from infra.dataset import DatasetError, money, products
from infra.dataset.products import Products

NOW_MS = 1_795_000_000_000
COLUMNS = (
    "id,name,main_category,sub_category,image,link,ratings,no_of_ratings,discount_price,actual_price,discount_ratio"
)
PLUGS = (
    "AF321D06AE,SOUNDLINK Soft Silicone Ear Plugs,stores,Amazon Fashion,https://m/51E.jpg,"
    "https://www.amazon.in/SOUNDLINK/dp/B075GKQCG2/ref=sr_1_6956,3.5,115,243.0,1240.0,0.804"
)
SCRAPED = "name,main_category,sub_category,image,link,ratings,no_of_ratings,discount_price,actual_price,Unnamed: 0"


def read(folder: Path, *lines: str) -> Products:
    path = folder / "products.csv"
    path.write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    return products.read(path, now_ms=NOW_MS)


def problem(folder: Path, row: str) -> str:
    [bad] = read(folder, COLUMNS, row, PLUGS).bad_lines
    assert bad.line == 2
    return bad.problem


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


def test_what_is_not_told_is_none_and_a_price_alone_is_the_price(tmp_path: Path) -> None:
    [item] = read(tmp_path, COLUMNS, ",A lamp,,,,,,,,99,").items
    assert (item.category, item.topics, item.rating, item.reviews, item.url) == ("other", [], None, None, None)
    assert (item.price, item.original_price) == (99.0, 99.0)
    assert products.PRODUCT_ID.fullmatch(item.item_id)


def test_a_product_in_several_rows_is_one_in_all_their_sub_categories(tmp_path: Path) -> None:
    found = read(tmp_path, COLUMNS, PLUGS, PLUGS.replace("Amazon Fashion", "Ear Plugs"))
    assert [item.topics for item in found.items] == [["Amazon Fashion", "Ear Plugs"]]
    assert (found.rows, found.repeated) == (2, 1)


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ("3.5,115", "Get,115", "ratings: 'Get' is no number from 0 to 5"),
        ("3.5,115", "5.1,115", "ratings: '5.1'"),
        ("115", "FREE Delivery", "no_of_ratings: 'FREE Delivery'"),
        ("243.0", "cheap", "discount_price: 'cheap' is no amount of money"),
        ("243.0", "-243.0", "discount_price: '-243.0'"),
        ("243.0,1240.0", "₹243,$1240", "discount_price is in INR and actual_price in USD"),
        ("243.0,1240.0", "1240.0,243.0", "discount_price 1240 is above actual_price 243"),
        ("0.804", "0.3", "discount_ratio 0.3 is not that of 243 and 1240"),
        ("AF321D06AE", "af321d06ae", "id: 'af321d06ae'"),
        ("SOUNDLINK Soft Silicone Ear Plugs", "  ", "title must be 1 to 1024"),
        ("SOUNDLINK Soft", "SOUND\udcffLINK", "it is not UTF-8"),
        (",0.804", "", "10 fields instead of 11"),
    ],
)
def test_a_bad_row_is_told_of_with_its_line_and_reason(tmp_path: Path, good: str, bad: str, told: str) -> None:
    assert told in problem(tmp_path, PLUGS.replace(good, bad, 1))


def test_the_line_of_a_row_is_that_of_the_file_though_fields_hold_breaks(tmp_path: Path) -> None:
    broken = '"A lamp\nof glass"'
    found = read(
        tmp_path, COLUMNS, PLUGS.replace("SOUNDLINK Soft Silicone Ear Plugs", broken), PLUGS.replace("3.5", "x")
    )
    assert [bad.line for bad in found.bad_lines] == [4]


def test_a_file_without_the_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no column name and none main_category"):
        read(tmp_path, "user,item,rating", "1,2,3")
    with pytest.raises(DatasetError, match="there is no such file"):
        products.read(tmp_path / "none.csv", now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("₹1,23,456", (123_456.0, "INR")),
        ("$131.99", (131.99, "USD")),
        ("1.234,56 €", (1_234.56, "EUR")),
        ("Rs. 1,299.00", (1_299.0, "INR")),
        ("1 299,50", (1_299.5, "")),
        ("1'299", (1_299.0, "")),
        ("USD 5", (5.0, "USD")),
        ("1.234.567", (1_234_567.0, "")),
        ("243.0", (243.0, "")),
        ("1.299", (1.299, "")),
        (" ", (None, "")),
    ],
)
def test_amounts_are_read_as_people_write_them(text: str, amount: tuple[float | None, str]) -> None:
    assert money.read(text) == amount


@pytest.mark.parametrize("text", ["free", "-5", "12,34,5", "5 apples", "₹", "1e5", "nan"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        money.read(text)
