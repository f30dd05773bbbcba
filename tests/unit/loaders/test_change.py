"""A second import of a catalogue: what is new, changed, the same, or no longer in the file."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from loaders.change import SOURCE, Change, change
from loaders.datasets import products
from loaders.datasets.product_column import ProductFormat
from loaders.datasets.products import Products
from schemas.types import Item

NOW_MS = 1_795_000_000_000
HEADER = "id,name,main_category,price,created_at"


def read(folder: Path, *rows: str, now_ms: int = NOW_MS) -> Products:
    (folder / "shop.csv").write_text("\n".join([HEADER, *rows]))
    return products.read(folder / "shop.csv", now_ms=now_ms, form=ProductFormat(rating_scale=5.0))


def applied(items: dict[str, Item], changes: Change) -> dict[str, Item]:
    """Return the catalogue after changes."""
    return {item_id: item for item_id, item in items.items() if item_id not in changes.absent} | {
        item.item_id: item for item in changes.changed_items
    }


@pytest.fixture
def first(tmp_path: Path) -> dict[str, Item]:
    return applied(
        {}, change(read(tmp_path, "A,Lamp,x,5,", "B,Chair,x,7,", "C,Desk,x,9,", now_ms=1_000), {}, source="shop")
    )


def test_the_first_import_is_all_new(first: dict[str, Item]) -> None:
    assert {item_id: item.created_at for item_id, item in first.items()} == dict.fromkeys("ABC", 1_000)
    assert all(item.attributes[SOURCE] == "shop" for item in first.values())


def test_an_unchanged_file_changes_nothing(tmp_path: Path, first: dict[str, Item]) -> None:
    again = change(read(tmp_path, "A,Lamp,x,5,", "B,Chair,x,7,", "C,Desk,x,9,"), first, source="shop")
    assert again == Change(added_count=0, changed_items=[], unchanged_count=3, absent=[])


def test_items_keep_the_time_at_which_they_entered_and_absent_ones_are_named(
    tmp_path: Path, first: dict[str, Item]
) -> None:
    again = change(read(tmp_path, "A,Lamp,x,4,", "B,Chair,x,7,", "D,Bed,x,9,"), first, source="shop")
    assert (again.added_count, again.updated, again.unchanged_count, again.absent) == (1, 1, 1, ["C"])
    after = applied(first, again)
    assert {item_id: item.price for item_id, item in after.items()} == {"A": 4, "B": 7, "D": 9}
    assert after["A"].created_at == after["B"].created_at == 1_000
    assert after["D"].created_at > 1_000


def test_a_time_in_the_file_is_the_time(tmp_path: Path, first: dict[str, Item]) -> None:
    again = change(read(tmp_path, "A,Lamp,x,5,1995-06-01", "B,Chair,x,7,", "C,Desk,x,9,"), first, source="shop")
    assert [(item.item_id, item.created_at) for item in again.changed_items] == [("A", 801_964_800_000)]


def test_a_product_in_a_rejected_row_is_not_absent(tmp_path: Path, first: dict[str, Item]) -> None:
    again = change(read(tmp_path, "A,Lamp,x,5,", "B,Chair,x,cheap,"), first, source="shop")
    assert again.absent == ["C"]


def test_items_of_other_sources_are_not_absent(tmp_path: Path, first: dict[str, Item]) -> None:
    others = {
        "X": replace(first["A"], item_id="X", attributes={}),
        "Y": replace(first["A"], item_id="Y", attributes={SOURCE: "b"}),
    }
    assert change(read(tmp_path, "A,Lamp,x,5,"), first | others, source="shop").absent == ["B", "C"]


def test_a_product_of_another_source_is_taken_over(tmp_path: Path, first: dict[str, Item]) -> None:
    again = change(read(tmp_path, "A,Lamp,x,5,"), first, source="other")
    assert [(item.attributes[SOURCE], item.created_at) for item in again.changed_items] == [("other", 1_000)]
    assert again.absent == []
