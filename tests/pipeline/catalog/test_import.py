"""Catalogues from files on real servers: a second import, one that was interrupted, and what left."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from infra.address import Addresses
from infra.kafka.readers.item_log import newest_items
from schemas.types import Item
from tests.pipeline.pipeline import Pipeline, a_pipeline
from topics.topic import ITEMS

HEADER = "id;name;main_category;discount_price;ratings;stock\n"


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        yield pipeline


async def imported(pipeline: Pipeline, file: Path, *flags: str, status: int = 0) -> dict[str, Any]:
    code, out, err = await pipeline.millrace("import", "products", str(file), "--json", *flags)
    assert code == status, err
    report: dict[str, Any] = msgspec.json.decode(out)
    return report


async def catalogue(pipeline: Pipeline) -> dict[str, Item]:
    everything = await newest_items(pipeline.addresses.kafka_bootstrap_servers, pipeline.registry, lambda item: True)
    assert everything == await pipeline.newest(ITEMS)
    return everything


async def records(pipeline: Pipeline) -> int:
    return len(await pipeline.read(ITEMS))


def write(file: Path, *rows: str, encoding: str = "utf-8") -> Path:
    file.write_bytes((HEADER + "\n".join(rows) + "\n").encode(encoding))
    return file


async def test_a_second_import_changes_what_changed_and_no_time_of_entry(pipeline: Pipeline, tmp_path: Path) -> None:
    file = write(
        tmp_path / "shop.csv",
        *(f"EAN-{n};Küchenlampe {n};Küche;1.299,00 €;4,5;1.500" for n in range(5)),
        encoding="utf-16",
    )
    report = await imported(pipeline, file)
    assert (report["added"], report["rejected"], report["notes"][0]) == (5, 0, "utf-16, separated by semicolons")
    first = await catalogue(pipeline)
    assert {(item.price, item.rating, item.stock) for item in first.values()} == {(1_299.0, 4.5, 1_500)}

    count = await records(pipeline)
    report = await imported(pipeline, file)
    assert (report["added"], report["updated"], report["unchanged"]) == (0, 0, 5)
    assert await records(pipeline) == count, "an unchanged file publishes nothing"

    rows = [f"EAN-{n};Küchenlampe {n};Küche;1.299,00 €;4,5;1.500" for n in range(1, 4)]
    write(file, *rows, "EAN-4;Küchenlampe 4;Küche;999,00 €;4,5;1.500", "EAN-9;Neu;Küche;5 €;;")
    report = await imported(pipeline, file)
    assert (report["added"], report["updated"], report["unchanged"], report["removed"]) == (1, 1, 3, 0)
    assert (report["absent"], report["absent_items"]) == (1, ["EAN-0"])
    after = await catalogue(pipeline)
    assert set(after) == {*first, "EAN-9"}
    assert after["EAN-4"].price == 999.0
    assert {name: after[name].created_at for name in first} == {name: first[name].created_at for name in first}

    report = await imported(pipeline, file, "--sync")
    assert (report["absent"], report["removed"]) == (1, 1)
    assert set(await catalogue(pipeline)) == set(after) - {"EAN-0"}
    assert (await imported(pipeline, file, "--sync"))["absent"] == 0


async def test_nothing_is_removed_when_rows_that_may_be_meant_are_rejected(pipeline: Pipeline, tmp_path: Path) -> None:
    rows = [f"S{n};Lamp {n};Home;5;;" for n in range(40)]
    file = write(tmp_path / "shop.csv", *rows)
    await imported(pipeline, file, "--source", "depot")
    write(file, *rows[:38], '"S38;Lamp 38;Home;5;;')
    report = await imported(pipeline, file, "--source", "depot", "--sync", status=1)
    assert (report["absent"], report["removed"], report["rejected"]) == (2, 0, 1)
    assert "nothing is removed: 1 rejected rows have no id that can be read" in report["notes"]
    write(file, *rows[:30], *(f"S{n};Lamp {n};Home;cheap;;" for n in range(30, 39)))
    report = await imported(pipeline, file, "--source", "depot", "--sync", status=1)
    assert (report["absent"], report["removed"], report["rejected"]) == (1, 0, 9)
    report = await imported(pipeline, file, "--source", "depot", "--sync", "--max-rejected", "9")
    assert report["removed"] == 1
    assert len([name for name in await catalogue(pipeline) if name.startswith("S")]) == 39


async def test_too_many_rejected_rows_end_with_1_and_the_good_ones_are_there(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    file = write(tmp_path / "few.csv", "T1;Lamp;Home;1.299 €;;", "T2;Chair;Home;5 €;;")
    report = await imported(pipeline, file, status=1)
    assert (report["items"], report["rejected"]) == (1, 1)
    assert "may be 1299 or 1.299" in report["problems"][0]
    assert (await catalogue(pipeline))["T2"].price == 5.0
    report = await imported(pipeline, file, "--decimal-mark", "comma")
    assert (report["added"], report["unchanged"]) == (1, 1)
    assert (await catalogue(pipeline))["T1"].price == 1_299.0


async def test_an_import_that_was_interrupted_publishes_the_rest(pipeline: Pipeline, tmp_path: Path) -> None:
    rows = [f"U{n};Lamp {n};Home;5;;" for n in range(6)]
    await imported(pipeline, write(tmp_path / "half.csv", *rows[:3]), "--source", "u")
    report = await imported(pipeline, write(tmp_path / "whole.csv", *rows), "--source", "u")
    assert (report["added"], report["updated"], report["unchanged"]) == (3, 0, 3)
