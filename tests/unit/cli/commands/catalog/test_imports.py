"""The options of an import, and rows that are set aside so that they can be corrected."""

import os
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from cli import import_report
from cli.commands.catalog import imports
from cli.main import app
from infra.error import OperatorError
from loaders.change import change
from loaders.datasets import products
from loaders.datasets.product_column import ProductFormat

NOW_MS = 1_795_000_000_000
STARS = ProductFormat(rating_scale=5.0)
RUN = CliRunner()


def test_rejected_rows_can_be_corrected_and_imported(tmp_path: Path) -> None:
    file, aside = tmp_path / "a.csv", tmp_path / "b" / "bad.csv"
    file.write_text('name,main_category,ratings\nLamp,home,4.1\nChair,home,Get\nTable,home\n"Bed,home,4\n')
    import_report.write_rejected_rows(products.read(file, now_ms=NOW_MS, form=STARS), aside)
    assert aside.read_text().splitlines() == [
        "line,reason,name,main_category,ratings",
        "3,ratings: 'Get' is not a rating from 0 to 5,Chair,home,Get",
        "4,2 fields instead of 3,Table,home",
        '5,a quote is not closed at the end of its field,"""Bed,home,4"',
    ]
    correction = aside.read_text().replace("home,Get", "home,4").replace("Table,home", "Table,home,")
    aside.write_text(correction.replace('"""Bed,home,4"', "Bed,home,4"))
    assert [item.title for item in products.read(aside, now_ms=NOW_MS, form=STARS).items] == ["Chair", "Table", "Bed"]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (b"shop.2024.csv", "shop"),
        (b"caf\xc3\xa9.csv", "café"),
        (b"caf\xe9.csv", "caf"),
        (b"\x1b[31mshop.csv", "[31mshop"),
        (b".csv", "products"),
        (b"\xff\xfe.csv", "products"),
        (b" .csv", "products"),
    ],
)
def test_a_source_is_named_after_its_file_in_text_that_can_be_stored(file: bytes, name: str) -> None:
    assert imports.source_name(None, Path(os.fsdecode(file))) == name


@pytest.mark.parametrize("source", ["", " shop", "a\x00", "x" * 257, "\udcff"])
def test_a_source_that_cannot_be_stored_is_refused(source: str) -> None:
    with pytest.raises(OperatorError, match="--source must"):
        imports.source_name(source, Path("shop.csv"))


def test_a_file_of_any_name_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / os.fsdecode(b"caf\xe9\x1b[31m.csv")
    file.write_text("id,name,main_category\nA,Lamp,home\nB,,home\n")
    content = products.read(file, now_ms=NOW_MS, form=STARS)
    report = import_report.Report.of(
        file, file, content, change(content, {}, source="shop"), source="shop", removed_count=0, took_s=0.0
    )
    assert msgspec.json.decode(msgspec.json.encode(report))["file"].endswith(r"caf\udce9\x1b[31m.csv")
    import_report.show(report)
    assert "\x1b[31m" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "rows", "most"), [("0", 100, 0), ("20", 100, 20), ("5%", 200, 10), (" 2.5 % ", 1_000, 25)]
)
def test_the_threshold_is_a_count_or_a_percentage(text: str, rows: int, most: float) -> None:
    assert imports.threshold(text)(rows) == most


@pytest.mark.parametrize("text", ["", "many", "-1", "nan", "inf", "%", "5%%"])
def test_what_is_no_threshold_is_refused(text: str) -> None:
    with pytest.raises(OperatorError, match="is not a number"):
        imports.threshold(text)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--column", "colour=Farbe"], "names no column"),
        (["--column", "name"], "names no column"),
        (["--decimal-mark", "dash"], "There are point"),
        (["--currency", "XXY"], "is not the code of a currency"),
        (["--max-rejected", "few"], "is not a number"),
        (["--id-column", "EAN"], "no column EAN; its columns are id, name, main_category"),
        (["--encoding", "klingon"], "klingon is not an encoding"),
    ],
)
def test_an_option_that_cannot_be_used_is_answered_with_what_can(
    tmp_path: Path, flags: list[str], problem: str
) -> None:
    (tmp_path / "shop.csv").write_text("id,name,main_category\nA,Lamp,x\n")
    result = RUN.invoke(app, ["import", "products", str(tmp_path / "shop.csv"), *flags])
    assert result.exit_code == 1
    assert problem in result.stderr
    assert "Traceback" not in result.output


def test_rejected_rows_alone_are_not_synchronised_with(tmp_path: Path) -> None:
    (tmp_path / "shop.rejected.csv").write_text("line,reason,id,name,main_category\n3,x,A,Lamp,x\n")
    result = RUN.invoke(app, ["import", "products", str(tmp_path / "shop.rejected.csv"), "--sync"])
    assert result.exit_code == 1
    assert "holds rejected rows only" in result.stderr
