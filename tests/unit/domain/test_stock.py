"""Which items are out of stock, however that is told."""

from typing import Any

import pytest

from domain.stock import is_sold_out
from tests.build import an_item


@pytest.mark.parametrize(
    "fields",
    [
        {"stock": 0},
        {"stock": 0, "attributes": {"stock": "5"}},
        {"attributes": {"stock": "0"}},
        {"attributes": {"stock": " 0.0 "}},
        {"attributes": {"stock": "-2"}},
        {"attributes": {"stock": "Sold out!"}},
        {"attributes": {"availability": "out_of_stock"}},
        {"attributes": {"availability": "Out of stock"}},
        {"attributes": {"availability": "https://schema.org/OutOfStock"}},
        {"attributes": {"availability": "http://schema.org/SoldOut"}},
        {"attributes": {"availability": "discontinued"}},
    ],
)
def test_an_item_that_cannot_be_had_is_sold_out(fields: dict[str, Any]) -> None:
    assert is_sold_out(an_item(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"stock": 1},
        {"stock": 3, "attributes": {"availability": "out_of_stock"}},
        {"attributes": {"stock": "7"}},
        {"attributes": {"stock": "nan"}},
        {"attributes": {"stock": "plenty"}},
        {"attributes": {"stock": ""}},
        {"attributes": {"availability": "in_stock"}},
        {"attributes": {"availability": "https://schema.org/PreOrder"}},
        {"attributes": {"availability": ""}},
    ],
)
def test_an_item_without_a_tracked_stock_is_available(fields: dict[str, Any]) -> None:
    assert not is_sold_out(an_item(**fields))
