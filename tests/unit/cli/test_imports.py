"""An import that goes on where it was, and rows that are set aside so that they can be corrected."""

from pathlib import Path

import pytest

from cli import imports
from cli.imports import Mark
from infra.dataset import products
from infra.memory import MemoryPublisher
from infra.publisher import PublishError
from tests.build import an_item
from topics.topic import ITEMS

NOW_MS = 1_795_000_000_000


async def test_an_interrupted_import_goes_on_after_what_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "_BATCH", 2)
    items = [an_item(f"i{number}") for number in range(5)]
    publisher, mark = MemoryPublisher(), Mark(tmp_path / "imports" / "a.mark")

    def cut(done: int) -> None:
        publisher.away = done == 4

    with pytest.raises(PublishError):
        await imports.publish(publisher, items, mark, cut)
    publisher.away = False
    assert await imports.publish(publisher, items, mark, lambda _: None) == 4
    assert publisher.of(ITEMS) == items
    assert await imports.publish(publisher, items, mark, lambda _: None) == 0, "the next one begins anew"


def test_rows_set_aside_can_be_corrected_and_imported(tmp_path: Path) -> None:
    file, aside = tmp_path / "a.csv", tmp_path / "b" / "bad.csv"
    file.write_text("name,main_category,ratings\nLamp,home,4.1\nChair,home,Get\nTable,home\n")
    imports.set_aside(products.read(file, now_ms=NOW_MS), aside)
    assert aside.read_text().splitlines() == [
        "line,reason,name,main_category,ratings",
        "3,ratings: 'Get' is no number from 0 to 5,Chair,home,Get",
        "4,2 fields instead of 3,Table,home",
    ]
    aside.write_text(aside.read_text().replace("home,Get", "home,4").replace("Table,home", "Table,home,"))
    assert [item.title for item in products.read(aside, now_ms=NOW_MS).items] == ["Chair", "Table"]
